// PTRACE_SEIZE with a bound.
//
// The call waits for the tracee's cred_guard_mutex. An execve(2) holds that for as long as its file
// system likes, or the tracer of a dead thread of the process. A signal ends the wait, but the
// kernel begins the call anew after the handler, with SA_RESTART or without (ERESTARTNOINTR). So
// the handler of KickTimer leads the thread past the system call (skip_seize_call()).
//
// Thread rule: any thread that KickTimer::allow_on_this_thread() was called on; elsewhere there is
// no bound.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>

#include "policy/base/result.h"

namespace shmvisor {

/// Errors: those of ptrace(2); EAGAIN at the bound. ENOMEM where there would be no bound, since no
/// thread can be had for it.
Result<void> seize_within(pid_t tid, std::uint64_t options, std::chrono::milliseconds bound);

}  // namespace shmvisor
