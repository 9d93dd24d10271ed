#include "supervisor/inject/parked_call.h"

#include <chrono>

namespace shmvisor {
namespace {

constexpr int kMostLooks = 1000;
constexpr std::chrono::milliseconds kBetweenLooks(2);

}  // namespace

std::optional<std::uint64_t> await_parked(ExpectedCalls& expected, const Listener& listener,
                                          pid_t tid, const StoppedThread::BlockingCall& parked) {
  for (int looks = 0; looks < kMostLooks; ++looks) {
    const auto notif = expected.next(tid, kBetweenLooks);
    // As long as we hold the thread its tid means it. Afterwards a thread that execs may have it.
    if (parked.over()) {
      if (notif) expected.give_back(*notif);
      break;
    }
    // A void one is of a call from before we stopped the thread.
    if (notif && listener.alive(notif->id)) return notif->id;
  }
  return std::nullopt;
}

}  // namespace shmvisor
