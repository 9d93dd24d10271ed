// JointScope: the processes of several scopes, which come and go.
//
// Thread rule: any thread.
#pragma once

#include <memory>
#include <vector>

#include "policy/base/mutex.h"
#include "supervisor/scope/process_scope.h"

namespace shmvisor {

class JointScope : public ProcessScope {
 public:
  void add(std::shared_ptr<const ProcessScope> scope) {
    const MutexLock lock(mutex_);
    scopes_.push_back(std::move(scope));
  }
  void remove(const ProcessScope* scope) {
    const MutexLock lock(mutex_);
    std::erase_if(scopes_, [scope](const auto& one) { return one.get() == scope; });
  }

  [[nodiscard]] Result<std::vector<pid_t>> processes() const override;
  void note_served(pid_t pid) const override {
    const MutexLock lock(mutex_);
    for (const auto& scope : scopes_) scope->note_served(pid);
  }

  struct Listing {
    std::vector<pid_t> certain;  ///< no strangers
    std::vector<pid_t> others;   ///< strangers may be among them
    /// Those of the others that descend from one of these are none.
    std::vector<pid_t> ancestors;
  };
  /// The same processes.
  [[nodiscard]] Result<Listing> listing() const;

 private:
  [[nodiscard]] std::vector<std::shared_ptr<const ProcessScope>> scopes() const {
    const MutexLock lock(mutex_);
    return scopes_;
  }

  mutable Mutex mutex_;
  std::vector<std::shared_ptr<const ProcessScope>> scopes_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
