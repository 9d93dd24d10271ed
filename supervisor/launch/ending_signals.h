// EndingSignals: while this lives, signals that ask a process to end do end this one, also as PID
// 1: it waits for another shmvisor, and the command does not run yet.
//
// The exit status is that of a command that such a signal ended. A child that waits for us to let
// it go on to its exec ends with us (Command). What whoever started us ignores or blocks stays so.
//
// Thread rule: the main thread, while it is the only one.
#pragma once

#include <array>
#include <csignal>

namespace shmvisor {

class EndingSignals {
 public:
  /// `mask`: the signals that whoever started us had blocked.
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
