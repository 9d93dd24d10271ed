// linked_path(): where the symbolic links of a path lead, also to a file that is not there yet.
// realpath(3) knows only what is there.
//
// Errors: ELOOP where they do not end. Thread rule: any thread.
#pragma once

#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <string>

#include "policy/base/result.h"

namespace shmvisor {

/// The last component of what it answers is no link; those before it may be.
inline Result<std::string> linked_path(std::string path) {
  constexpr int kMostLinks = 40;      // as the kernel has it
  std::array<char, PATH_MAX> target;  // NOLINT: filled by readlink
  for (int links = 0; links <= kMostLinks; ++links) {
    const ssize_t bytes = ::readlink(path.c_str(), target.data(), target.size());
    if (bytes < 0) return path;
    std::string text(target.data(), static_cast<std::size_t>(bytes));
    const std::size_t folder = text.starts_with('/') ? 0 : path.rfind('/') + 1;
    path = path.substr(0, folder) + text;
  }
  return Errno(ELOOP);
}

}  // namespace shmvisor
