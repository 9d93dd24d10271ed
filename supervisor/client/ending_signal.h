// Signals that a client reads in its loop; and EndingSignal, which tells a client that serves
// others that it is to end: by SIGINT, SIGTERM or SIGHUP.
//
// From then on these signals are blocked in this thread, and so in those that it starts. Ownership:
// borrows the loop. Thread rule: the loop's thread, before there are others.
#pragma once

#include <sys/signalfd.h>

#include <csignal>
#include <initializer_list>

#include "policy/base/unique_fd.h"
#include "supervisor/loop/event_loop.h"

namespace shmvisor::client {

/// Blocks the signals. A signalfd(2) for them, which does not wait; invalid without a descriptor.
inline UniqueFd open_signals(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

class EndingSignal {
 public:
  explicit EndingSignal(EventLoop& loop)
      : signals_(open_signals({SIGINT, SIGTERM, SIGHUP})),
        watched_(loop.watch(signals_.get(), POLLIN, [this](short) { came_ = true; })) {}
  EndingSignal(const EndingSignal&) = delete;
  EndingSignal& operator=(const EndingSignal&) = delete;

  [[nodiscard]] bool valid() const { return signals_.valid(); }
  [[nodiscard]] bool came() const { return came_; }

 private:
  bool came_ = false;
  const UniqueFd signals_;
  const EventLoop::Source watched_;
};

}  // namespace shmvisor::client
