// MemoryMap: the file mappings of a process, read from the kernel.
//
// PROCMAP_QUERY (Linux 6.11) answers one mapping at a time, 0.7 µs each; before it the whole text
// of /proc/PID/maps is read and parsed once. Errors: ESRCH when the process is gone, EACCES where
// we may not look (ptrace(2), PTRACE_MODE_READ).
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

class MemoryMap {
 public:
  static Result<MemoryMap> open(pid_t pid, KernelFeatures& features);

  /// The lowest mapping that ends above `address`; of files only, or of anything.
  Result<std::optional<MappedArea>> area_above(std::uint64_t address, bool files_only = true);

 private:
  MemoryMap(UniqueFd maps, KernelFeatures& features)
      : maps_(std::move(maps)), features_(features) {}

  Result<std::optional<MappedArea>> query(std::uint64_t address, bool files_only);
  Result<void> parse();

  UniqueFd maps_;
  KernelFeatures& features_;
  std::optional<std::vector<MappedArea>> parsed_;
};

}  // namespace shmvisor
