#include "supervisor/inject/repeated_call.h"

#include <chrono>

namespace shmvisor {
namespace {

constexpr int kMostRepeats = 16;
constexpr int kMostLooks = 1000;
constexpr std::chrono::milliseconds kBetweenLooks(2);

}  // namespace

Result<int> RepeatedCall::lend(const LentDescriptor& lent) {
  const Abi abi = call_.raw().abi;
  for (int tries = 0; tries < kMostRepeats; ++tries) {
    const auto id = begin();
    if (!id && id.error() != Errno(EAGAIN)) return id.error();
    Result<int> number = Errno(ENOENT);
    if (id) {
      number = lent.lend(call_.listener(), *id, call_.tid());
      (void)call_.listener().respond(*id, kCallAgain);
    }
    if (const auto finished = stop_.finish_call(abi); !finished) return finished.error();
    if (number || number.error() == Errno(EMFILE)) return number;
    // All signals are blocked, but SIGSTOP cannot be, and a frozen cgroup ends the wait too.
    if (number.error() != Errno(ENOENT)) return Errno(ENOMEM);
  }
  // Somebody stops and continues it all the time. It shall not see that: its call comes again.
  stop_.set_repeating();
  return Errno(ESRCH);
}

Result<std::uint64_t> RepeatedCall::begin() {
  expected_.expect(call_.tid());
  Result<std::uint64_t> received = Errno(ESRCH);
  if (stop_.begin_again(call_.raw().abi)) received = await();
  expected_.end(call_.tid());
  // Where it still waits to be received this ends it; or somebody will receive it yet.
  const bool missed = !received && received.error() == Errno(EAGAIN);
  if (missed && !stop_.call_is_over()) (void)stop_.interrupt();
  return received;
}

Result<std::uint64_t> RepeatedCall::await() {
  for (int looks = 0; looks < kMostLooks; ++looks) {
    const auto notif = expected_.next(call_.tid(), kBetweenLooks);
    // As long as we hold the caller its tid means it; afterwards it may mean a thread that execs.
    if (stop_.call_is_over()) {
      if (notif) expected_.give_back(*notif);
      break;
    }
    // A void one is this call's, from before we stopped the caller.
    if (notif && call_.listener().alive(notif->id)) return notif->id;
  }
  return Errno(EAGAIN);
}

}  // namespace shmvisor
