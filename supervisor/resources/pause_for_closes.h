// When to accept no further connection of strangers: while too many of them cannot be closed.
//
// Thread rule: the loop's thread.
#pragma once

#include <chrono>

#include "supervisor/loop/event_loop.h"
#include "supervisor/resources/last_closes.h"

namespace shmvisor {

/// Whether it is paused. `listening`: of the socket that listens.
[[nodiscard]] inline bool paused_for_closes(EventLoop::Source& listening) {
  constexpr std::chrono::milliseconds kUntilSomeAreClosed(50);
  if (LastCloses::all().unpaid() < LastCloses::kMostUnpaid) return false;
  listening.pause_until(EventLoop::Clock::now() + kUntilSomeAreClosed);
  return true;
}

}  // namespace shmvisor
