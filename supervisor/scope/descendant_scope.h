// DescendantScope: all descendants of this process, found by the parents of processes.
//
// Orphans are included only where this process is PID 1 or a subreaper; SupervisedScope has all
// processes that may be supervised. A process of this scope is ours for certain, and may be
// signalled.
//
// Descendants may be left out together with their own, and so are processes that close files for us
// (ClosingProcess): a stranger decides how long they live.
//
// One pass over all processes of /proc finds the descendants, however many they are. The lists of
// children in /proc miss some while others end.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <optional>
#include <unordered_map>
#include <vector>

#include "supervisor/kernel/features.h"
#include "supervisor/scope/process_scope.h"

namespace shmvisor {

class DescendantScope : public ProcessScope {
 public:
  explicit DescendantScope(KernelFeatures& features) : features_(features) {}

  /// One at a time at each place; 0: none.
  void leave_out(pid_t pid, std::size_t place = 0) { left_out_.at(place) = pid; }

  [[nodiscard]] Result<std::vector<pid_t>> processes() const override;

 private:
  /// By PIDFD_GET_INFO (Linux 6.13) in 2 µs, or through /proc/PID/status in 14 µs.
  [[nodiscard]] std::optional<pid_t> parent_of(pid_t pid) const;

  KernelFeatures& features_;
  std::array<pid_t, 2> left_out_{};
};

}  // namespace shmvisor
