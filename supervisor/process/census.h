// Census: who maps a segment, counted when somebody asks.
//
// The processes we serve are our descendants: we are their subreaper, so none can leave. Mappings
// are found by device and inode in each of them; an address space that several processes share
// (vfork(2), clone(2) with CLONE_VM) is counted once, which kcmp(2) tells. Where kcmp is forbidden,
// a process that waits for its vfork child is recognised by what both show in /proc.
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

namespace shmvisor {

class Census {
 public:
  explicit Census(KernelFeatures& features) : features_(features) {}

  /// Mappings (VMAs) of each file, as shm_nattch counts them. One walk, however many files.
  [[nodiscard]] std::vector<std::uint64_t> count_mappings(
      std::span<const FileIdentity> files) const;

  /// All processes (thread groups) below this one.
  [[nodiscard]] std::vector<pid_t> descendants() const;

 private:
  [[nodiscard]] bool same_address_space(pid_t one, pid_t other) const;

  KernelFeatures& features_;
};

}  // namespace shmvisor
