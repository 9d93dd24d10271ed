// CallJudge: what the operator's rules do to the calls of one listener, before the registry sees
// them.
//
// Ownership: borrows the rules. Thread rule: any thread; judge() from the thread that serves the
// call, without a lock.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "emulation/syscalls/shm_call.h"
#include "supervisor/notify/pending_call.h"
#include "supervisor/serve/call_rules.h"
#include "supervisor/serve/delayed_calls.h"

namespace shmvisor {

class CallJudge {
 public:
  /// `rules`: null for none. `containers`: the names of the callers' container. `group`: see
  /// ServedFacts. `listener`: borrowed. `look_later`: asks for Handler::look().
  CallJudge(CallRules* rules, std::vector<std::string> containers, std::uintptr_t group,
            Listener& listener, std::function<void()> look_later);

  /// Whether calls have to be judged at all.
  [[nodiscard]] bool wanted() const {
    return rules_ != nullptr && (rules_->any() || delayed_.any());
  }

  struct Judgement {
    /// The call waits now, or its caller does not wait any more. It was handed over.
    bool delayed = false;
    /// The answer of a call that is refused.
    std::optional<Reply> refusal = std::nullopt;
    /// What a fault decided. Then answered() must be called after the answer.
    std::optional<DelayedCalls::Decided> decided = std::nullopt;
  };
  /// `notif`: of the call. `user`: accountable for the caller.
  [[nodiscard]] Judgement judge(PendingCall& call, const ShmCall& decoded, Caller& caller,
                                Registry& registry, uid_t user);

  /// `delivered`: whether the caller got the answer.
  void answered(const PendingCall& call, uid_t user, const DelayedCalls::Decided& decided,
                bool delivered) {
    delayed_.answered(call.notification(), user, decided, delivered);
  }

  [[nodiscard]] DelayedCalls& delayed() { return delayed_; }
  /// To be called after a change of the rules, for which look_later() asks. A call that waits by a
  /// rule which is not in force any more goes on. Returns when to call this again, if memory is
  /// short; 0: no further call is needed.
  std::chrono::milliseconds look_at_rules();

 private:
  Judgement delay(PendingCall& call, uid_t user, const Ruling& ruling,
                  const DelayedCalls::Decided& decided);

  CallRules* const rules_;
  const std::vector<std::string> containers_;
  const std::uintptr_t group_;
  const std::function<void()> look_later_;
  DelayedCalls delayed_;
  /// The rules have changed, and delayed calls have to be compared with the new ones.
  std::atomic<bool> rules_changed_{false};
  std::optional<CallRules::Watch> watch_;  ///< the last member, because it uses the others
};

}  // namespace shmvisor
