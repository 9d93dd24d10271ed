// Census: who maps a segment, counted when somebody asks.
//
// Mappings are found by device and inode in each process of a ProcessScope; an address space that
// several processes share (vfork(2), clone(2) with CLONE_VM) is counted once, which kcmp(2) tells.
// Where kcmp is forbidden, a process that waits for its vfork child is recognised by what both show
// in /proc.
//
// A process whose maps we may not read counts for nothing, and one that forks and ends meanwhile
// may hide its child: Registry::count_attaches() looks again where that leaves nobody.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "emulation/memmap/backing_memory.h"
#include "supervisor/kernel/features.h"
#include "supervisor/process/process_scope.h"

namespace shmvisor {

class Census {
 public:
  Census(KernelFeatures& features, const ProcessScope& scope)
      : features_(features), scope_(scope) {}

  /// Mappings (VMAs) of each file, as shm_nattch counts them. One walk, however many files.
  [[nodiscard]] std::vector<std::uint64_t> count_mappings(
      std::span<const FileIdentity> files) const;

  /// Where one process maps the files that are asked for: one list of addresses for each file.
  struct Attached {
    pid_t pid = 0;
    std::vector<std::vector<std::uint64_t>> starts;
  };

 private:
  /// Where in `counted` it belongs; nothing where its address space is counted already.
  [[nodiscard]] std::optional<std::size_t> find_place(const Attached& attached,
                                                      const std::vector<Attached>& counted) const;

  KernelFeatures& features_;
  const ProcessScope& scope_;
};

}  // namespace shmvisor
