// follow_clone: lets a clone(2) through that puts the child into a new IPC namespace, and calls
// back before the child begins.
//
// If the child cannot be caught, it begins without that call back: another tracer has the parent,
// the call asks for CLONE_UNTRACED, or the child is killed. So does a child beyond kMostOfUser, the
// bound of a user's clones that are followed at a time: each of them keeps a thread for some ms,
// also if the kernel refuses the clone.
//
// Ownership: borrows its arguments. Thread rule: a serving thread.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>

#include "policy/base/mutex.h"
#include "supervisor/notify/pending_call.h"

namespace shmvisor {

/// Counts the clones that are followed, for each user. Any thread.
class FollowedClones {
 public:
  static constexpr int kMostOfUser = 4;

  /// `user`: see accountable_user.h. False if the user has kMostOfUser already; otherwise the
  /// caller must leave() afterwards.
  [[nodiscard]] bool enter(uid_t user);
  void leave(uid_t user);

 private:
  Mutex mutex_;
  std::map<uid_t, int> of_user_ GUARDED_BY(mutex_);
};

/// `child_begins` gets the child's tid. The child waits until `child_begins` returns; the parent
/// does not.
void follow_clone(PendingCall& call, FollowedClones& followed, uid_t user,
                  const std::function<void(pid_t)>& child_begins);

}  // namespace shmvisor
