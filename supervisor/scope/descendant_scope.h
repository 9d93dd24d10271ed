// DescendantScope: all descendants of this process, found by the parents of processes.
//
// Orphans are included only where this process is PID 1 or a subreaper; SupervisedScope has all
// processes that may be supervised. A process of this scope is ours for certain, and may be
// signalled.
//
// A descendant may be left out together with its own, and so are processes that close files for us
// (ClosingProcess): a stranger decides how long they live.
//
// One pass over all processes of /proc finds the descendants, however many they are. The lists of
// children in /proc miss some while others end.
//
// Thread rule: any thread.
#pragma once

#include <optional>
#include <unordered_map>
#include <vector>

#include "supervisor/kernel/features.h"
#include "supervisor/scope/process_scope.h"

namespace shmvisor {

class DescendantScope : public ProcessScope {
 public:
  explicit DescendantScope(KernelFeatures& features) : features_(features) {}

  /// One at a time; 0: none.
  void leave_out(pid_t pid) { left_out_ = pid; }

  [[nodiscard]] Result<std::vector<pid_t>> processes() const override;

 private:
  /// By PIDFD_GET_INFO (Linux 6.13) in 2 µs, or through /proc/PID/status in 14 µs.
  [[nodiscard]] std::optional<pid_t> parent_of(pid_t pid) const;

  KernelFeatures& features_;
  pid_t left_out_ = 0;
};

}  // namespace shmvisor
