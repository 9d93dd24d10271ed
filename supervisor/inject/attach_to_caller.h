// Attaches to a caller that waits in its call, where a tracer of ours or of somebody else's may be
// in the way for a while.
//
// Errors: EACCES where we may not trace it, or somebody else does and does not leave. ESRCH where
// it died, is no longer in the call, or makes the call again. EAGAIN where its process is in an
// execve(2) that does not end; ENOMEM where we lack the means. Thread rule: the thread that
// received the call.
#pragma once

#include <optional>

#include "supervisor/inject/cpu_pin.h"
#include "supervisor/inject/ptrace_stop.h"
#include "supervisor/inject/tracer_patience.h"
#include "supervisor/notify/expected_calls.h"
#include "supervisor/notify/pending_call.h"

namespace shmvisor {

/// `wait`: with somebody else's tracer. The thread is pinned by `pin` from the attach on.
Result<PtraceStop> attach_to_caller(PendingCall& call, ExpectedCalls& expected,
                                    const TracerWait& wait, std::optional<CpuPin>& pin);

/// Lets the call through. On its way back from the kernel, where it has what it asked for, the
/// caller stops, and is held. Errors: where it cannot be, because somebody else traces it, say;
/// then it goes on at once.
Result<PtraceStop> let_through_and_hold(PendingCall& call);

}  // namespace shmvisor
