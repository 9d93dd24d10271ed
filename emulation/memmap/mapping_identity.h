// FileIdentity and MappingIdentity: what /proc/PID/maps shows of a mapped file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

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

struct MappingIdentity {
  std::string name;  ///< the last field of the line, "/memfd:SYSV00000000 (deleted)"
  FileIdentity file;

  friend bool operator==(const MappingIdentity&, const MappingIdentity&) = default;
};

}  // namespace shmvisor
