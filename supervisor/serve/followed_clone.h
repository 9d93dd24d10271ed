// follow_clone: lets a clone(2) through that makes a child with an IPC namespace of its own, and
// has the child looked at before it begins.
//
// Where it cannot be caught (somebody else traces the parent, the call asks for CLONE_UNTRACED, the
// child is killed) it begins as it is.
//
// Ownership: borrows both. Thread rule: a serving thread.
#pragma once

#include <sys/types.h>

#include <functional>

#include "supervisor/notify/pending_call.h"

namespace shmvisor {

/// `child_begins`: its tid; it waits meanwhile, the parent does not.
void follow_clone(PendingCall& call, const std::function<void(pid_t)>& child_begins);

}  // namespace shmvisor
