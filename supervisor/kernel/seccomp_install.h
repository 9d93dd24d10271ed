// install_filter: puts a filter program on the calling thread and gives its notification listener.
//
// libseccomp 2.5 cannot ask for WAIT_KILLABLE_RECV, hence seccomp(2) itself.
//
// Errors (seccomp(2), kernel/seccomp.c: seccomp_set_mode_filter):
//   EACCES  neither no_new_privs nor CAP_SYS_ADMIN
//   EBUSY   a filter of this thread has a listener already: a chain holds one
//   EINVAL  the kernel does not know a flag (WAIT_KILLABLE_RECV: Linux 5.19), or the program is bad
//   E2BIG   longer than a sock_fprog can say; ENOMEM, EMFILE, ENFILE as usual
// Ownership: the listener is the caller's; it has O_CLOEXEC.
// Thread rule: acts on the calling thread, and on what it forks, execs or clones from then on.
// Async-signal-safe, so that a forked child of a program with threads can call it.
#pragma once

#include <linux/filter.h>

#include <span>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

struct InstallFlags {
  /// A received notification outlives all signals but fatal ones.
  bool wait_killable_recv = true;
};

Result<UniqueFd> install_filter(std::span<const sock_filter> program, InstallFlags flags);

}  // namespace shmvisor
