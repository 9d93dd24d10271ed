#include "supervisor/serve/followed_clone.h"

#include "supervisor/inject/child_stop.h"

namespace shmvisor {

void follow_clone(PendingCall& call, const std::function<void(pid_t)>& child_begins) {
  auto expected = ChildStop::expect_of(call.tid());
  // Otherwise the tid may be another thread's by now, which is given up.
  const bool caught = expected && call.alive();
  call.let_through();
  if (!caught) return;
  if (const auto child = expected->wait_for_child()) child_begins(child->tid());
}

}  // namespace shmvisor
