// The files of a thread's namespaces.
//
// A pidfd gives them at once (ioctls of <linux/pidfd.h>, Linux 6.11). Those in /proc/TID/ns wait
// for the end of an execve(2) of that process, which it may never let end: since Linux 7.2 and in
// the stable kernels of 2026 (exec_update_lock in proc_ns_get_link() of fs/proc/namespaces.c; seen
// on 6.18.44). /proc is read where the kernel has no such ioctls, and where we are out of
// descriptors.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

enum class Namespace : std::uint8_t { kIpc, kUser, kPid, kMount };

/// ESRCH where the thread is gone, or the kernel has no such namespaces; EACCES where we may not
/// look; the errors of open(2).
Result<UniqueFd> open_namespace(pid_t tid, Namespace which);
/// The namespace's inode; 0 where open_namespace() fails. Needs no descriptor.
std::uint64_t namespace_inode(pid_t tid, Namespace which);

/// Whether the thread lives in another user namespace than ours. It is told by what everybody may
/// read, and what waits for nobody: /proc/TID/uid_map, which shows processes of one user namespace
/// the same map. Nothing where it cannot be read.
std::optional<bool> is_in_another_user_namespace(pid_t tid);

/// The two ways, with our own identity only. EOPNOTSUPP: the kernel does not have this one.
Result<UniqueFd> open_namespace_by_pidfd(pid_t tid, Namespace which);
Result<UniqueFd> open_namespace_in_proc(pid_t tid, Namespace which);

}  // namespace shmvisor
