// A call that a held thread was made to make so that it waits for us in the kernel.
//
// The call is received by whichever thread receives, which hands it over (ExpectedCalls).
//
// Thread rule: the thread that holds the other one.
#pragma once

#include <cstdint>
#include <optional>

#include "supervisor/inject/stopped_thread.h"
#include "supervisor/notify/expected_calls.h"
#include "supervisor/notify/listener.h"

namespace shmvisor {

/// The id of the call `parked`, of the thread `tid`, whose calls are expected; nothing where it was
/// over before anybody received it, because the thread died say, or is not received.
std::optional<std::uint64_t> await_parked(ExpectedCalls& expected, const Listener& listener,
                                          pid_t tid, const StoppedThread::BlockingCall& parked);

}  // namespace shmvisor
