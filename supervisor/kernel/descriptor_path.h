// The path by which a process can open a file anew that it has a descriptor of: "/proc/self/fd/N".
// An open of it makes an open file description of its own.
#pragma once

#include <string>

#include "policy/base/unique_fd.h"

namespace shmvisor {

/// Leads to the file for as long as `fd` is open.
inline std::string descriptor_path(const UniqueFd& fd) {
  return "/proc/self/fd/" + std::to_string(fd.get());
}

}  // namespace shmvisor
