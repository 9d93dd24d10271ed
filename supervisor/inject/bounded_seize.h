// PTRACE_SEIZE with a bound.
//
// It waits for the tracee's cred_guard_mutex, which an execve(2) holds for as long as its file
// system, or somebody who traces a dead thread of the process, likes. A signal ends that wait, but
// the kernel begins it anew after the handler, SA_RESTART or not (ERESTARTNOINTR). So the handler
// leads the thread past the system call.
//
// Thread rule: any thread that KickTimer::allow_on_this_thread() was called on; elsewhere there is
// no bound.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>

#include "policy/base/result.h"

namespace shmvisor {

/// Errors: those of ptrace(2); EAGAIN at the bound.
Result<void> seize_within(pid_t tid, std::uint64_t options, std::chrono::milliseconds bound);

/// For the signal handler of KickTimer: ends a seize_within() that its signal has interrupted.
/// `context`: the handler's ucontext_t.
void end_interrupted_seize(void* context);

}  // namespace shmvisor
