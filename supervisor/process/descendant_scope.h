// DescendantScope: all processes below one process: this one, or another that is a subreaper too
// and so loses none of them while it lives. Once that other one has died its orphans may be
// anywhere, and all processes that there are take their place: looking at too many costs time and
// nothing else.
//
// Thread rule: any thread.
#pragma once

#include "policy/base/unique_fd.h"
#include "supervisor/process/process_scope.h"

namespace shmvisor {

class DescendantScope : public ProcessScope {
 public:
  /// Below this process.
  DescendantScope() = default;
  explicit DescendantScope(pid_t root);

  [[nodiscard]] std::vector<pid_t> processes() const override;

 private:
  [[nodiscard]] bool root_lives() const;

  const pid_t root_ = 0;  ///< 0: this process
  /// Of the root, so that its pid cannot come to mean another unseen.
  UniqueFd pidfd_;
};

}  // namespace shmvisor
