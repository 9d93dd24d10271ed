// Calls that a server that died had received and not answered: what the next one does with them.
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
  std::size_t refused = 0;              ///< of these: they were in service at too many deaths
};

/// Those of `left` (CallSlots::take_left()) that are of this listener, whose calls are noted in the
/// same slots. Answers those that are decided, and forgets those whose callers are gone, or make
/// their call again. Of marked ones, and of those that ended a server, the slots stay till they do
/// (CallSlots::await_again()).
[[nodiscard]] LeftCalls go_on_with(Listener& listener, std::span<const CallSlots::Left> left);

}  // namespace shmvisor
