#include "supervisor/inject/repeated_call.h"

#include <new>

#include "supervisor/inject/parked_call.h"

namespace shmvisor {
namespace {

constexpr int kMostRepeats = 16;

}  // namespace

Result<int> RepeatedCall::lend(const LentDescriptor& lent, const WhileItWaits& while_it_waits) {
  for (int tries = 0; tries < kMostRepeats; ++tries) {
    const Result<int> number = lend_once(lent, while_it_waits);
    // All signals are blocked, but SIGSTOP cannot be, and a frozen cgroup ends the wait too.
    if (number || number.error() != Errno(ENOENT)) return number;
  }
  // Somebody stops and continues it all the time. It shall not see that: its call comes again.
  thread_.set_repeating();
  return Errno(ESRCH);
}

Result<int> RepeatedCall::lend_once(const LentDescriptor& lent,
                                    const WhileItWaits& while_it_waits) {
  expected_.expect(call_.tid());
  auto repeated = thread_.begin_again(call_.raw().abi);
  std::optional<std::uint64_t> id;
  Result<int> number = Errno(ENOENT);
  try {
    if (repeated) id = await_parked(expected_, call_.listener(), call_.tid(), *repeated);
    if (id && while_it_waits) while_it_waits(*id);
    if (id) number = lent.lend(call_.listener(), *id, call_.tid());
  } catch (const std::bad_alloc&) {  // the caller must get out of the call that it repeats
    number = Errno(ENOMEM);
  }
  expected_.end(call_.tid());
  if (!repeated) return repeated.error();
  if (id) {
    (void)call_.listener().respond(*id, kCallAgain);
  } else if (!repeated->over()) {
    (void)repeated->interrupt();  // it waits to be received; or somebody will receive it yet
  }
  if (const auto finished = repeated->finish(); !finished) return finished.error();
  if (number || number.error() == Errno(EMFILE) || number.error() == Errno(ENOENT)) return number;
  return Errno(ENOMEM);
}

}  // namespace shmvisor
