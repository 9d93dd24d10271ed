// CleanupObserver: told of each segment that goes though nobody removed it: as
// kernel.shm_rmid_forced has it, or because the operator wants none of processes that have ended.
//
// A segment that was removed, and goes with its last detach, is none of these.
//
// Thread rule: any thread; the registry's lock is held exclusively. Nothing here waits.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace shmvisor {

enum class CleanedBy : std::uint8_t {
  kNothing,     ///< it is there, or somebody removed it
  kRmidForced,  ///< kernel.shm_rmid_forced
  kOrphaned,    ///< those who used it have ended
};

struct CleanedSegment {
  std::uint64_t ipc_namespace = 0;  ///< of its registry; 0: the initial one
  int shmid = -1;
  key_t key = 0;
  std::uint64_t size_bytes = 0;
  uid_t uid = 0;   ///< its owner
  pid_t cpid = 0;  ///< its creator
  CleanedBy by = CleanedBy::kNothing;
};

class CleanupObserver {
 public:
  CleanupObserver() = default;
  CleanupObserver(const CleanupObserver&) = delete;
  CleanupObserver& operator=(const CleanupObserver&) = delete;
  virtual ~CleanupObserver() = default;

  virtual void cleaned(const CleanedSegment& segment) noexcept = 0;
};

}  // namespace shmvisor
