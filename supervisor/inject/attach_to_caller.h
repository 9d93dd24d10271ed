// Attaches to a caller that waits in its call, where a tracer of ours or of somebody else's may be
// in the way for a while.
//
// Errors: EACCES where we may not trace the caller, or somebody else does and does not leave. ESRCH
// where the caller died, is no longer in the call, or makes the call again. EAGAIN where its
// process is in an execve(2) that does not end; ENOMEM where we lack the means. Thread rule: the
// thread that received the call.
#pragma once

#include <optional>

#include "supervisor/inject/attached_thread.h"
#include "supervisor/inject/cpu_pin.h"
#include "supervisor/inject/stopped_thread.h"
#include "supervisor/inject/tracer_patience.h"
#include "supervisor/notify/expected_calls.h"
#include "supervisor/notify/pending_call.h"

namespace shmvisor {

/// `wait`: with somebody else's tracer. The thread is pinned by `pin` from the attach on.
Result<AttachedThread> attach_to_caller(PendingCall& call, ExpectedCalls& expected,
                                        const TracerWait& wait, std::optional<CpuPin>& pin);

/// Lets the call through, and holds the caller on its way back from the kernel, where it has what
/// it asked for. Errors: where the caller cannot be held, because somebody else traces it, say;
/// then it goes on at once.
Result<StoppedThread> let_through_and_hold(PendingCall& call);

}  // namespace shmvisor
