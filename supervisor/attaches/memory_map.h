// MemoryMap: the file mappings of a process, read from the kernel.
//
// PROCMAP_QUERY (Linux 6.11) answers one mapping at a time, in 0.7 µs. Without it the whole text of
// /proc/PID/maps is read and parsed once. To walk through the shared mappings of a process that may
// have very many others, read the text in steps (MapsText). Errors: ESRCH when the process is
// gone, EACCES where we may not look (ptrace(2), PTRACE_MODE_READ).
//
// Thread rule: one thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "emulation/memmap/mapping_space.h"
#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/attaches/maps_text.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

enum class Areas : std::uint8_t {
  kAll,
  kFiles,
  kShared,  ///< of files, MAP_SHARED, writable or not: as every attach is
};

class MemoryMap {
 public:
  static Result<MemoryMap> open(pid_t pid, KernelFeatures& features);

  /// The lowest mapping of that kind that ends above `address`. ESRCH also where the thread has
  /// lost its address space.
  Result<std::optional<MappedArea>> area_above(std::uint64_t address, Areas which);

  /// Of /proc/PID/maps, which no later process with that pid has; 0 where it cannot be told.
  [[nodiscard]] std::uint64_t inode() const;

  /// The mappings by text, from the beginning, as long as this object lives.
  [[nodiscard]] MapsText text() const { return MapsText(maps_.get()); }

 private:
  MemoryMap(UniqueFd maps, KernelFeatures& features)
      : maps_(std::move(maps)), features_(features) {}

  Result<std::optional<MappedArea>> query(std::uint64_t address, Areas which);
  Result<void> parse();

  UniqueFd maps_;
  KernelFeatures& features_;
  std::optional<std::vector<MapsText::Area>> parsed_;
};

}  // namespace shmvisor
