// KickTimer: interrupts a blocking wait of the calling thread once it has lasted too long.
//
// A caller is hostile: it may replace the instruction that we are about to run in it by an endless
// loop, be in a frozen cgroup, or in an execve(2) that never ends. Waits for it are bounded
// therefore.
//
// Costs two cheap system calls a bounded wait. Thread rule: create, arm and disarm on one thread.
// The signal is directed at that thread; it must not be blocked there, see allow_on_this_thread().
#pragma once

#include <chrono>
#include <csignal>
#include <ctime>

namespace shmvisor {

class KickTimer {
 public:
  /// What a wait for a caller takes at most.
  static constexpr std::chrono::milliseconds kPatience{2000};
  /// After so long others are to be seen to before the wait goes on.
  static constexpr std::chrono::milliseconds kSoon{5};

  /// The signal that ends a wait. Real-time, and the highest, for being the least used.
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

  timer_t timer_{};
  bool valid_ = false;
};

}  // namespace shmvisor
