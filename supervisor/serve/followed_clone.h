// follow_clone: lets a clone(2) through that puts the child into a new IPC namespace, and calls
// back before the child begins.
//
// A child that cannot be caught begins without that: another tracer has the parent, the call asks
// for CLONE_UNTRACED, or the child is killed. So does a child beyond the bound of clones of one
// user that are followed at a time: each keeps a thread for some ms, also where the kernel refuses
// the clone.
//
// Ownership: borrows what it is given. Thread rule: a serving thread.
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

  /// `user`: of accountable_user.h. False where it has kMostOfUser already; leave() otherwise.
  [[nodiscard]] bool enter(uid_t user);
  void leave(uid_t user);

 private:
  Mutex mutex_;
  std::map<uid_t, int> of_user_ GUARDED_BY(mutex_);
};

/// `child_begins` gets the child's tid; the child waits until it returns, the parent does not.
void follow_clone(PendingCall& call, FollowedClones& followed, uid_t user,
                  const std::function<void(pid_t)>& child_begins);

}  // namespace shmvisor
