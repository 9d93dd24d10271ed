// The path "/proc/self/fd/N", by which a process opens the file of a descriptor anew. Such an open
// makes a new open file description.
#pragma once

#include <string>

#include "policy/base/unique_fd.h"

namespace shmvisor {

/// Leads to the file for as long as `fd` is open.
inline std::string descriptor_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }
inline std::string descriptor_path(const UniqueFd& fd) { return descriptor_path(fd.get()); }

}  // namespace shmvisor
