// CreatorHistory: whether it is still known which threads have created segments.
//
// With kernel.shm_rmid_forced a segment goes with the thread that created it. A thread that execs
// takes over the thread id of its process's first one, which ends (de_thread() of fs/exec.c): the
// kernel goes by the task, shmvisor can only go by the id. Here is kept whether that matters.
#pragma once

#include <set>

#include "integration/differential/operation.h"
#include "integration/differential/process_table.h"
#include "integration/differential/transcript.h"

namespace shmvisor {

class CreatorHistory {
 public:
  /// Follows one operation; `native` is what it showed on the kernel's own shm.
  void follow(const Operation& operation, const Step& native);

  /// Whether segments may be gone that shmvisor has, or the other way round.
  [[nodiscard]] bool lost() const { return forced_ && mistaken_; }

 private:
  ProcessTable table_;
  std::set<int> creators_;  ///< processes, as the table numbers them
  bool forced_ = false;
  bool mistaken_ = false;
};

}  // namespace shmvisor
