// NamespaceTurns: which calls of a user that change a thread's IPC namespace are carried out now,
// and which wait.
//
// Such a call keeps its thread for some milliseconds, while our files are mounted for the new
// namespace. A program that makes hundreds at once would have all serving threads of its user
// busy with them, and its other calls, which take microseconds, would wait behind. So kMostOfUser
// of these calls have a turn at a time. Further ones are put aside without a thread: whoever ends
// its turn carries out the next one. Where no more may wait, a call has a turn beyond kMostOfUser,
// and waits as all calls do (CallShares).
//
// Thread rule: any thread.
#pragma once

#include <linux/seccomp.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <unordered_map>
#include <utility>

#include "policy/base/mutex.h"
#include "supervisor/serve/call_shares.h"

namespace shmvisor {

class NamespaceTurns {
 public:
  static constexpr int kMostOfUser = 4;

  /// Both as for CallShares.
  NamespaceTurns(std::size_t most_waiting_of_user, std::function<std::size_t()> room)
      : most_waiting_of_user_(most_waiting_of_user), room_(std::move(room)) {}

  /// `user`: of accountable_user.h. False where the call is put aside: leave() will give it back,
  /// and it is not to be answered before.
  [[nodiscard]] bool enter(uid_t user, const seccomp_notif& call);
  using Successor = CallShares::Successor;  ///< kAnother: whoever calls next() soon
  /// A turn of the user's ends, of one that entered. Answers the call that this thread is to carry
  /// out now, which has the turn.
  [[nodiscard]] std::optional<seccomp_notif> leave(
      uid_t user, Successor successor = Successor::kThisThread) noexcept;
  struct Next {
    uid_t user = 0;
    seccomp_notif call{};
  };
  /// A call that was left to another thread. It has a turn now.
  [[nodiscard]] std::optional<Next> next() noexcept;
  [[nodiscard]] bool has_next() const;

 private:
  struct Account {
    int turns = 0;
    std::deque<seccomp_notif> waiting;
  };

  const std::size_t most_waiting_of_user_;
  const std::function<std::size_t()> room_;
  [[nodiscard]] static bool is_next(const std::pair<const uid_t, Account>& one) {
    return !one.second.waiting.empty() && one.second.turns < kMostOfUser;
  }
  [[nodiscard]] seccomp_notif take_from(Account& account) REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::size_t waiting_ GUARDED_BY(mutex_) = 0;  ///< of all users
  std::unordered_map<uid_t, Account> accounts_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
