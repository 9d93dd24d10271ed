// A call that its caller makes again because a server died while it held the caller (CallSlots).
//
// Thread rule: the thread that received it, in the next server.
#pragma once

#include "supervisor/inject/caller_hold.h"
#include "supervisor/notify/pending_call.h"

namespace shmvisor {

/// Whether the call is such a call, and needs nothing more. Refuses a call that was in service at
/// CallSlots::kMostDeaths deaths, also where its caller was held without a mark. Gives the call
/// what was decided the first time; where nothing was, its caller makes it once more, as it did at
/// first. Either way the caller is held by `hold`, so that its registers are what they were. Should
/// this server die, too, the call comes again.
[[nodiscard]] bool finish_marked_call(PendingCall& call, CallerHold& hold);

}  // namespace shmvisor
