// EndingSignals: while this object lives, signals that ask a process to end do end this process,
// also as PID 1. For the time before the command runs, in which it waits for another shmvisor.
//
// The exit status is that of a command that such a signal ended. A child that waits for go_on()
// ends with us (Command). Signals that our parent ignored or blocked stay so.
//
// Thread rule: the main thread, while it is the only one.
#pragma once

#include <array>
#include <csignal>

namespace shmvisor {

class EndingSignals {
 public:
  /// `mask`: the signals that were blocked when we were started.
  explicit EndingSignals(const sigset_t& mask);
  EndingSignals(const EndingSignals&) = delete;
  EndingSignals& operator=(const EndingSignals&) = delete;
  ~EndingSignals();

 private:
  static constexpr std::array<int, 4> kSignals = {SIGTERM, SIGINT, SIGQUIT, SIGHUP};

  sigset_t mask_before_{};
  std::array<struct sigaction, kSignals.size()> before_{};
};

}  // namespace shmvisor
