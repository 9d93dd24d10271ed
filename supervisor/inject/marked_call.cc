#include "supervisor/inject/marked_call.h"

#include <cerrno>
#include <cstddef>

namespace shmvisor {
namespace {

constexpr std::size_t kLastArgument = 5;
/// No one gets it: its caller makes the call once more.
constexpr std::int64_t kNoResult = kCallAgain;

/// Each call may fail so.
bool refuse(PendingCall& call, std::uint64_t before) {
  if (call.answer(-ENOMEM)) call.listener().slots()->free(before);
  return true;
}

}  // namespace

bool finish_marked_call(PendingCall& call, CallerHold& hold) {
  CallSlots* const slots = call.listener().slots();
  if (slots == nullptr) return false;
  const auto first = slots->first_of(call.notification(), call.listener().fd());
  if (!first) return false;
  const std::uint64_t before = first->notification.id;
  const bool is_refused = first->deaths >= CallSlots::kMostDeaths;
  if (!first->marked && !is_refused) slots->go_on_as(before, call.id());
  if (!first->marked) return is_refused && refuse(call, before);
  const auto held = hold.hold();
  if (held) {
    StoppedThread& thread = hold.thread();
    // A signal that comes while this server dies is not to make EINTR of it.
    (void)thread.mark_call(call.raw().abi, call.data().args[kLastArgument], kCallAgain);
    thread.unmark_call(call.raw().abi, first->notification.data.args[kLastArgument]);
    if (!first->decided) thread.set_repeating();
  } else if (!first->decided && call.alive()) {
    // It cannot be traced by now, and keeps the mark.
    slots->go_on_as(before, call.id());
    return false;
  }
  // Where it was not held, and waits no more, it makes the call again.
  const bool delivered = call.answer(first->decided.value_or(kNoResult));
  // Its deaths are to be known when it makes the call once more.
  const bool is_awaited = !first->decided && first->deaths != 0;
  if ((held || delivered) && !is_awaited) slots->free(before);
  return true;
}

}  // namespace shmvisor
