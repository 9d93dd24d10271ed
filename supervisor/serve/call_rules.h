// CallRules: the rules in force, which may be replaced while calls are judged.
//
// Without rules a call costs one atomic load. Thread rule: any thread; see Watch for its callback.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "policy/base/mutex.h"
#include "policy/rules/rule_set.h"

namespace shmvisor {

class CallRules {
 public:
  /// While a Watch lives, `changed` is called after each change of the rules, by the thread that
  /// makes the change. `changed` must be short, throw nothing, and call no member of CallRules.
  class Watch {
   public:
    Watch(CallRules& rules, std::function<void()> changed)
        : rules_(rules), changed_(std::move(changed)) {
      const MutexLock lock(rules_.mutex_);
      rules_.watches_.push_back(this);
    }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    ~Watch() {
      const MutexLock lock(rules_.mutex_);
      std::erase(rules_.watches_, this);
    }

   private:
    friend class CallRules;
    CallRules& rules_;
    const std::function<void()> changed_;
  };

  [[nodiscard]] bool any() const { return any_.load(std::memory_order_relaxed); }
  /// Null for none.
  [[nodiscard]] std::shared_ptr<RuleSet> current() const {
    const MutexLock lock(mutex_);
    return set_;
  }
  /// `set`: null for none. Faults begin to count anew, unless the rules are the same.
  void replace(std::shared_ptr<RuleSet> set) noexcept {
    const MutexLock lock(mutex_);
    if (set != nullptr && set_ != nullptr && set->rules() == set_->rules()) return;
    set_.swap(set);
    any_.store(set_ != nullptr, std::memory_order_relaxed);
    for (const Watch* const watch : watches_) watch->changed_();
  }

 private:
  std::atomic<bool> any_{false};
  mutable Mutex mutex_;
  std::shared_ptr<RuleSet> set_ GUARDED_BY(mutex_);
  std::vector<const Watch*> watches_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
