// CallJudge: what the operator's rules do to the calls of one listener, before the registry sees
// them.
//
// Ownership: borrows the rules. Thread rule: any thread; judge() from the thread that serves the
// call, without a lock.
#pragma once

#include <chrono>
#include <functional>
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
  /// `rules`: null for none. `containers`: what the callers' container is called. `group`: see
  /// ServedFacts. `listener`: borrowed. `look_later`: asks for Handler::look().
  CallJudge(CallRules* rules, std::vector<std::string> containers, std::uintptr_t group,
            Listener& listener, std::function<void()> look_later);

  /// Whether calls have to be judged at all.
  [[nodiscard]] bool wanted() const {
    return rules_ != nullptr && (rules_->any() || delayed_.any());
  }

  struct Judgement {
    /// The call waits, and was handed over.
    bool delayed = false;
    /// The answer of a call that is refused.
    std::optional<Reply> refusal = std::nullopt;
    /// When the call came, where it has waited.
    std::optional<std::chrono::steady_clock::time_point> began = std::nullopt;
  };
  /// `notif`: of the call. `user`: accountable for the caller.
  [[nodiscard]] Judgement judge(PendingCall& call, const ShmCall& decoded, Caller& caller,
                                Registry& registry, uid_t user);

  [[nodiscard]] DelayedCalls& delayed() { return delayed_; }

 private:
  Judgement delay(PendingCall& call, uid_t user, const Ruling& ruling,
                  const DelayedCalls::Decided& decided);

  CallRules* const rules_;
  const std::vector<std::string> containers_;
  const std::uintptr_t group_;
  const std::function<void()> look_later_;
  DelayedCalls delayed_;
};

}  // namespace shmvisor
