// What a system call leaves in its caller's register: a value, or -errno.
#pragma once

#include <cstdint>

namespace shmvisor {

/// Whether it is an error: down to the -MAX_ERRNO of include/linux/err.h. An address may be
/// negative, but never lies in there.
constexpr bool is_error_result(std::int64_t result) {
  constexpr std::int64_t kMaxErrno = 4095;
  return result < 0 && result >= -kMaxErrno;
}

}  // namespace shmvisor
