// OtherDescendants: the descendants of this process, but for those that are ours and not the
// command's.
//
// Thread rule: the main thread.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <vector>

#include "supervisor/scope/descendant_scope.h"

namespace shmvisor {

class OtherDescendants : public ProcessScope {
 public:
  explicit OtherDescendants(KernelFeatures& features) : all_(features) {}

  void leave_out(pid_t pid) { left_out_.push_back(pid); }

  [[nodiscard]] Result<std::vector<pid_t>> processes() const override {
    auto pids = all_.processes();
    if (!pids) return pids;
    std::erase_if(
        *pids, [this](pid_t pid) { return std::ranges::find(left_out_, pid) != left_out_.end(); });
    return pids;
  }

 private:
  const DescendantScope all_;
  std::vector<pid_t> left_out_;
};

}  // namespace shmvisor
