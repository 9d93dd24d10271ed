#include "supervisor/serve/followed_clone.h"

#include "supervisor/inject/child_stop.h"

namespace shmvisor {

void follow_clone(PendingCall& call, const std::function<void(pid_t)>& child_begins) {
  auto expected = ChildStop::expect_of(call.tid());
  call.let_through();
  if (!expected) return;
  if (const auto child = expected->wait_for_child()) child_begins(child->tid());
}

}  // namespace shmvisor
