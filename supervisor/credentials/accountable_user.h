// The user to whom a thread's use of our resources is charged: descriptors, threads, log lines.
//
// This is the thread's real user, as with RLIMIT_NPROC and the kernel's other counts for each user:
// a setuid program is charged to the user who runs it. In a user namespace one user may have as
// many uids as its map has. There the creator of the outermost user namespace below ours is
// charged, as inc_ucount() of kernel/ucount.c does. Where the creator is root or our own user, who
// gain nothing by more uids, each uid stands for itself.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <optional>

#include "supervisor/credentials/thread_identity.h"

namespace shmvisor {

/// `real_uid`: the thread's current real uid, in our user namespace.
[[nodiscard]] uid_t accountable_user(ThreadIdentity& thread, uid_t real_uid);

/// The same of a process, for a thread that may wait for nobody. Nothing where it cannot be told at
/// once: of a process in another user namespace before Linux 6.11, where the process can make
/// whoever looks at its namespaces in /proc wait; and where we are out of descriptors.
[[nodiscard]] std::optional<uid_t> accountable_user_at_once(pid_t pid, uid_t real_uid);

}  // namespace shmvisor
