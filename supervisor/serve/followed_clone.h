// follow_clone: lets a clone(2) through that makes a child with an IPC namespace of its own, and
// has the child looked at before it begins.
//
// Where it cannot be caught (somebody else traces the parent, the call asks for CLONE_UNTRACED, the
// child is killed) it begins as it is. So does the child of a clone beyond those of one user that
// are followed at a time: each keeps a thread for some ms, also where the kernel refuses the clone.
//
// Ownership: borrows what it is given. Thread rule: a serving thread.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>

#include "policy/base/mutex.h"
#include "supervisor/notify/pending_call.h"

namespace shmvisor {

/// Of whom clones are followed now. Any thread.
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

/// `child_begins`: its tid; it waits meanwhile, the parent does not.
void follow_clone(PendingCall& call, FollowedClones& followed, uid_t user,
                  const std::function<void(pid_t)>& child_begins);

}  // namespace shmvisor
