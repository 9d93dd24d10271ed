// The user whom everything is charged to that a thread makes us keep or do: descriptors, threads,
// log lines.
//
// It is the thread's real user, as RLIMIT_NPROC and the kernel's other counts for each user have it
// (a setuid program spends what is its caller's). But in a user namespace one user may be as many
// as its map has ids; there it is the user who made the namespace, the outermost below ours, as
// inc_ucount() of kernel/ucount.c charges it to. Where that is root or our own user, who need no
// namespace to be anybody, each user in it stands for itself.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include "supervisor/credentials/thread_identity.h"

namespace shmvisor {

/// `real_uid`: of the thread now, as our user namespace sees it.
[[nodiscard]] uid_t accountable_user(ThreadIdentity& thread, uid_t real_uid);

}  // namespace shmvisor
