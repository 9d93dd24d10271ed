// CallRules: the rules in force, which may be replaced while calls are judged.
//
// Without rules a call costs one atomic load. Thread rule: any thread.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "policy/base/mutex.h"
#include "policy/rules/rule_set.h"

namespace shmvisor {

class CallRules {
 public:
  [[nodiscard]] bool any() const { return any_.load(std::memory_order_relaxed); }
  /// Null for none.
  [[nodiscard]] std::shared_ptr<RuleSet> current() const {
    const MutexLock lock(mutex_);
    return set_;
  }
  /// Null for none. Faults count anew, unless the rules are the same.
  void replace(std::shared_ptr<RuleSet> set) noexcept {
    const MutexLock lock(mutex_);
    if (set != nullptr && set_ != nullptr && set->rules() == set_->rules()) return;
    set_.swap(set);
    any_.store(set_ != nullptr, std::memory_order_relaxed);
  }

 private:
  std::atomic<bool> any_{false};
  mutable Mutex mutex_;
  std::shared_ptr<RuleSet> set_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
