#include "supervisor/inject/repeated_call.h"

#include <chrono>
#include <new>

namespace shmvisor {
namespace {

constexpr int kMostRepeats = 16;
constexpr int kMostLooks = 1000;
constexpr std::chrono::milliseconds kBetweenLooks(2);

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
    if (repeated) id = await(*repeated);
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

std::optional<std::uint64_t> RepeatedCall::await(const StoppedThread::BlockingCall& repeated) {
  for (int looks = 0; looks < kMostLooks; ++looks) {
    const auto notif = expected_.next(call_.tid(), kBetweenLooks);
    // As long as we hold the caller its tid means it; afterwards it may mean a thread that execs.
    if (repeated.over()) {
      if (notif) expected_.give_back(*notif);
      break;
    }
    // A void one is this call's, from before we stopped the caller.
    if (notif && call_.listener().alive(notif->id)) return notif->id;
  }
  return std::nullopt;
}

}  // namespace shmvisor
