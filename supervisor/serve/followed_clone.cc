#include "supervisor/serve/followed_clone.h"

#include "supervisor/inject/child_stop.h"

namespace shmvisor {
namespace {

/// One clone that entered; leaves at its end.
class Place {
 public:
  Place(FollowedClones& followed, uid_t user) : followed_(followed), user_(user) {}
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() { followed_.leave(user_); }

 private:
  FollowedClones& followed_;
  const uid_t user_;
};

}  // namespace

bool FollowedClones::enter(uid_t user) {
  const MutexLock lock(mutex_);
  int& followed = of_user_[user];
  if (followed >= kMostOfUser) return false;
  ++followed;
  return true;
}

void FollowedClones::leave(uid_t user) {
  const MutexLock lock(mutex_);
  const auto known = of_user_.find(user);
  if (--known->second == 0) of_user_.erase(known);
}

void follow_clone(PendingCall& call, FollowedClones& followed, uid_t user,
                  const std::function<void(pid_t)>& child_begins) {
  if (!followed.enter(user)) {
    call.let_through();
    return;
  }
  const Place place(followed, user);
  auto expected = ChildStop::expect_of(call.tid());
  // If the call is not alive, the tid may be another thread's by now, which is given up.
  const bool caught = expected && call.alive();
  call.let_through();
  if (!caught) return;
  if (const auto child = expected->wait_for_child()) child_begins(child->tid());
}

}  // namespace shmvisor
