#include "supervisor/scope/joint_scope.h"

#include <algorithm>

namespace shmvisor {

Result<std::vector<pid_t>> JointScope::processes() const {
  std::vector<std::shared_ptr<const ProcessScope>> scopes;
  {
    const MutexLock lock(mutex_);
    scopes = scopes_;
  }
  std::vector<pid_t> all;
  for (const auto& scope : scopes) {
    const Result<std::vector<pid_t>> pids = scope->processes();
    if (!pids) return pids.error();
    all.insert(all.end(), pids->begin(), pids->end());
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

}  // namespace shmvisor
