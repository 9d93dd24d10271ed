// Turns an event loop until something is the case that need not be an event of the loop.
#pragma once

#include <chrono>

#include "supervisor/loop/event_loop.h"
#include "tests/supervised_child.h"

namespace shmvisor {

/// False where it does not happen in kPatience.
template <typename Condition>
bool turn_until(EventLoop& loop, Condition condition) {
  constexpr std::chrono::milliseconds kBetweenLooks{20};
  const auto deadline = EventLoop::Clock::now() + kPatience;
  while (!condition()) {
    if (EventLoop::Clock::now() > deadline) return false;
    if (!loop.turn(EventLoop::Clock::now() + kBetweenLooks)) return false;
  }
  return true;
}

}  // namespace shmvisor
