// Calls that a dead server had received and not answered: what the next server does with them.
//
// Thread rule: before the listener receives.
#pragma once

#include <linux/seccomp.h>

#include <span>
#include <vector>

#include "supervisor/journal/call_slots.h"
#include "supervisor/notify/listener.h"

namespace shmvisor {

struct LeftCalls {
  std::vector<seccomp_notif> to_serve;  ///< as if they had just come
  std::size_t answered = 0;             ///< with what was decided
  std::size_t refused = 0;              ///< some of the answered: in service at too many deaths
};

/// Goes on with the calls in `left` (CallSlots::take_left()) of this listener, whose later calls
/// are noted in the same slots. Answers calls that are decided already. Forgets calls whose callers
/// are gone, or make their call again. The slot of a marked call, or of one that ended a server,
/// stays until its caller does so (CallSlots::await_again()).
[[nodiscard]] LeftCalls go_on_with(Listener& listener, std::span<const CallSlots::Left> left);

}  // namespace shmvisor
