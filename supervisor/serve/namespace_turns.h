// NamespaceTurns: which calls of a user that change a thread's IPC namespace are carried out now,
// and which wait.
//
// Such a call keeps its thread for some milliseconds, while our files are mounted for the new
// namespace. A program that makes hundreds at once would have all serving threads of its user
// busy with them, and its other calls, which take microseconds, would wait behind. So kMostOfUser
// of these calls have a turn at a time. Further ones are put aside without a thread: whoever ends
// its turn carries out the next one.
//
// Thread rule: any thread.
#pragma once

#include <linux/seccomp.h>
#include <sys/types.h>

#include <cstddef>
#include <deque>
#include <optional>
#include <unordered_map>

#include "policy/base/mutex.h"

namespace shmvisor {

class NamespaceTurns {
 public:
  static constexpr int kMostOfUser = 4;
  /// Further ones have a turn beyond kMostOfUser, and wait as all calls do (CallShares).
  static constexpr std::size_t kMostWaitingOfUser = 4096;

  /// `user`: of accountable_user.h. False where the call is put aside: leave() will give it back,
  /// and it is not to be answered before.
  [[nodiscard]] bool enter(uid_t user, const seccomp_notif& call);
  /// A turn of the user's ends, of one that entered. Answers the call that has it now.
  [[nodiscard]] std::optional<seccomp_notif> leave(uid_t user) noexcept;

 private:
  struct Account {
    int turns = 0;
    std::deque<seccomp_notif> waiting;
  };

  Mutex mutex_;
  std::unordered_map<uid_t, Account> accounts_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
