// KickTimer: interrupts a blocking wait of the calling thread once it has lasted too long.
//
// A caller is hostile. It may replace the instruction that we are about to run in it by an endless
// loop, be in a frozen cgroup, or in an execve(2) that never ends. So waits for a caller are
// bounded.
//
// A bounded wait costs two cheap system calls. Thread rule: create, arm and disarm on one thread.
// The signal is directed at that thread, and must not be blocked there: see allow_on_this_thread().
#pragma once

#include <chrono>
#include <csignal>
#include <ctime>
#include <optional>

namespace shmvisor {

class KickTimer {
 public:
  /// The bound of a wait for a caller.
  static constexpr std::chrono::milliseconds kPatience{2000};
  /// After so long another thread is to receive calls before the wait goes on.
  static constexpr std::chrono::milliseconds kSoon{5};

  /// The signal that ends a wait. The highest of the real-time signals, since it is used least.
  static int signal_number() { return SIGRTMAX; }
  /// Installs the handler, once a process. A kick that came neither from a timer nor from
  /// another thread of ours is somebody else's signal: `pass_on` gets it, in signal context.
  static void install_handler(void (*pass_on)(int signal_number));
  static void allow_on_this_thread();

  KickTimer();
  KickTimer(const KickTimer&) = delete;
  KickTimer& operator=(const KickTimer&) = delete;
  ~KickTimer();

  void arm(std::chrono::milliseconds patience = kPatience);
  void disarm();

 private:
  void create();

  /// None where our user's queue of signals was full: the next arm() tries again.
  std::optional<timer_t> timer_;
};

}  // namespace shmvisor
