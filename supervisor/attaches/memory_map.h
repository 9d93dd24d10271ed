// MemoryMap: the file mappings of a process, read from the kernel.
//
// PROCMAP_QUERY (Linux 6.11) answers one mapping at a time, in 0.7 µs. Without it the whole text of
// /proc/PID/maps is read and parsed once. Errors: ESRCH when the process is gone, EACCES where we
// may not look (ptrace(2), PTRACE_MODE_READ).
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

 private:
  MemoryMap(UniqueFd maps, KernelFeatures& features)
      : maps_(std::move(maps)), features_(features) {}

  Result<std::optional<MappedArea>> query(std::uint64_t address, Areas which);
  Result<void> parse();

  UniqueFd maps_;
  KernelFeatures& features_;
  struct ParsedArea {
    MappedArea area;
    bool shared = false;
  };
  std::optional<std::vector<ParsedArea>> parsed_;
};

}  // namespace shmvisor
