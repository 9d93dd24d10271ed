// The inode of an open file: what tells namespaces, and pidfds of threads, from one another.
#pragma once

#include <sys/stat.h>

#include <cstdint>

#include "policy/base/unique_fd.h"

namespace shmvisor {

/// 0, which no file has, where there is no descriptor.
inline std::uint64_t inode_of(const UniqueFd& fd) {
  struct stat status {};
  return fd.valid() && ::fstat(fd.get(), &status) == 0 ? status.st_ino : 0;
}

}  // namespace shmvisor
