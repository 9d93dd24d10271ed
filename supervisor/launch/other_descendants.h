// OtherDescendants: the descendants of this process, but for one that is ours and not the
// command's.
//
// Thread rule: leave_out() before there are other threads; then any thread.
#pragma once

#include <sys/types.h>

#include <vector>

#include "supervisor/scope/descendant_scope.h"

namespace shmvisor {

class OtherDescendants : public ProcessScope {
 public:
  explicit OtherDescendants(KernelFeatures& features) : all_(features) {}

  void leave_out(pid_t pid) { left_out_ = pid; }

  [[nodiscard]] Result<std::vector<pid_t>> processes() const override {
    auto pids = all_.processes();
    if (pids) std::erase(*pids, left_out_);
    return pids;
  }

 private:
  const DescendantScope all_;
  pid_t left_out_ = 0;
};

}  // namespace shmvisor
