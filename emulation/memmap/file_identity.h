// FileIdentity: which file is mapped, as /proc/PID/maps shows it. Thread rule: a plain value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace shmvisor {

/// As PROCMAP_QUERY shows it too. Never used twice while a mapping of the file is left.
struct FileIdentity {
  std::uint64_t device = 0;  ///< as makedev(3) packs it
  std::uint64_t inode = 0;

  friend constexpr bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

struct FileIdentityHash {
  std::size_t operator()(const FileIdentity& file) const {
    return std::hash<std::uint64_t>{}(file.inode ^ (file.device << 48));
  }
};

}  // namespace shmvisor
