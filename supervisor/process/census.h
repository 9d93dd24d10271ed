// Census: who maps a segment, counted when somebody asks.
//
// Mappings are found by device and inode in each process of a ProcessScope; an address space that
// several processes share (vfork(2), clone(2) with CLONE_VM) is counted once, which kcmp(2) tells.
// Where kcmp is forbidden, a process that waits for its vfork child is recognised by what both show
// in /proc.
//
// A process whose maps we may not read counts for nothing.
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
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

 private:
  [[nodiscard]] bool same_address_space(pid_t one, pid_t other) const;

  KernelFeatures& features_;
  const ProcessScope& scope_;
};

}  // namespace shmvisor
