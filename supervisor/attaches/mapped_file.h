// MappedFile: a file, and how often a process maps it.
//
// Thread rule: plain values.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "emulation/memmap/file_identity.h"

namespace shmvisor {

struct MappedFile {
  FileIdentity file;
  std::uint64_t mappings = 0;
};

[[nodiscard]] inline std::uint64_t mappings_of(const FileIdentity& file,
                                               std::span<const MappedFile> files) {
  const auto found = std::ranges::find(files, file, &MappedFile::file);
  return found == files.end() ? 0 : found->mappings;
}

[[nodiscard]] inline bool maps_one_of(std::span<const FileIdentity> files,
                                      std::span<const MappedFile> mapped) {
  return std::ranges::any_of(
      files, [&](const FileIdentity& file) { return mappings_of(file, mapped) != 0; });
}

}  // namespace shmvisor
