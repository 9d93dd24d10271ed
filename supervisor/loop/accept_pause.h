// What a listening socket's source does after accept(2) failed.
//
// EAGAIN: no connection is left, and the loop waits for the next one. Other errors may last
// (EMFILE, ENFILE, ENOMEM), and the socket stays readable: the source pauses, so that the loop does
// not spin.
#pragma once

#include <cerrno>
#include <chrono>

#include "policy/base/result.h"
#include "supervisor/loop/event_loop.h"

namespace shmvisor {

/// The time until accept(2) is tried again after an error that may last.
inline constexpr std::chrono::milliseconds kBeforeAcceptAgain(100);

/// Whether the error may last; `listening` then pauses.
inline bool paused_after_accept(Errno error, EventLoop::Source& listening) {
  if (error == Errno(EAGAIN)) return false;
  listening.pause_until(EventLoop::Clock::now() + kBeforeAcceptAgain);
  return true;
}

}  // namespace shmvisor
