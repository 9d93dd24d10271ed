// CallNumbers: the numbers of the calls that are decoded here, of each ABI. They stand nowhere else
// in the program: its filter is made from the names (policy/filter/notified_calls.h).
#pragma once

#include <cstdint>
#include <optional>

#include "emulation/abi/abi.h"

namespace shmvisor {

struct CallNumbers {
  int shmget = 0;
  int shmat = 0;
  int shmdt = 0;
  int shmctl = 0;
  std::optional<int> ipc;  ///< the multiplexer, where the ABI has one
  int clone = 0;
  int unshare = 0;
  int setns = 0;
  /// Bits of a number that the kernel ignores in unshare(2) and setns(2).
  int variant_bits = 0;
  /// Whether the command of shmctl(2) has the version in it, as that of ipc(2) has
  /// (ARCH_WANT_COMPAT_IPC_PARSE_VERSION).
  bool shmctl_has_version = false;
  /// To what SHM_RND rounds: so many times kShmlbaBytes (COMPAT_SHMLBA).
  unsigned shmlba_factor = 1;
};

/// In the architecture's folder.
constexpr const CallNumbers& call_numbers(Abi abi);

/// Sub-calls of ipc(2), include/uapi/linux/ipc.h: the same of all architectures.
namespace ipc_subcall {
inline constexpr std::uint32_t kShmat = 21;
inline constexpr std::uint32_t kShmdt = 22;
inline constexpr std::uint32_t kShmget = 23;
inline constexpr std::uint32_t kShmctl = 24;
/// What of ipc(2)'s first argument is the sub-call; above it is the version of its form
/// (ipc/syscall.c: ksys_ipc()).
inline constexpr std::uint32_t kMask = 0xffff;
inline constexpr unsigned kVersionShift = 16;
}  // namespace ipc_subcall

}  // namespace shmvisor

#if defined(__x86_64__)
#include "emulation/abi/x86/call_numbers.h"  // IWYU pragma: export
#elif defined(__aarch64__)
#include "emulation/abi/aarch64/call_numbers.h"  // IWYU pragma: export
#endif
