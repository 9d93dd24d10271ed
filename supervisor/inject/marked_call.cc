#include "supervisor/inject/marked_call.h"

#include <cstddef>

namespace shmvisor {
namespace {

constexpr std::size_t kLastArgument = 5;
/// No one gets it: its caller makes the call once more.
constexpr std::int64_t kNoResult = kCallAgain;

}  // namespace

bool finish_marked_call(PendingCall& call, CallerHold& hold) {
  CallSlots* const slots = call.listener().slots();
  if (slots == nullptr) return false;
  const auto first = slots->first_of(call.notification(), call.listener().fd());
  if (!first) return false;
  const auto held = hold.hold();
  if (held) {
    StoppedThread& thread = hold.thread();
    thread.unmark_call(call.raw().abi, first->notification.data.args[kLastArgument]);
    if (!first->decided) thread.set_repeating();
  } else if (!first->decided && call.alive()) {
    // It cannot be traced by now. It keeps the mark, in a register that functions need not keep.
    slots->free(first->notification.id);
    return false;
  }
  // Where it was not held, and waits no more, it makes the call again.
  const bool delivered = call.answer(first->decided.value_or(kNoResult));
  if (held || delivered) slots->free(first->notification.id);
  return true;
}

}  // namespace shmvisor
