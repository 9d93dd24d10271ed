// KickTimer: interrupts a blocking wait of the calling thread once it has lasted too long.
//
// A caller is hostile. It may replace the instruction that we are about to run in it by an endless
// loop, be in a frozen cgroup, or in an execve(2) that never ends. So waits for a caller are
// bounded.
//
// A timer of the kernel's (timer_create(2)) would take a place in our user's queue of signals,
// which others of that user may have filled (RLIMIT_SIGPENDING). So a thread of ours, one for all
// timers, sends the signals (KickTarget). To arm and disarm takes no system call, most of the time.
//
// Thread rule: create, arm, disarm and destroy on one thread. The signal is directed at that
// thread, and must not be blocked there: see allow_on_this_thread().
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>

namespace shmvisor {

/// A thread that can be called out of a wait. Thread rule: made by that thread, which must outlive
/// its use; kick() from any thread.
class KickTarget {
 public:
  static KickTarget of_this_thread();

  /// Interrupts the system call that the thread is in. A call that the thread is about to enter is
  /// not interrupted, so a caller that waits for the thread kicks again; BoundedSeize's call is
  /// skipped then.
  void kick() const;

 private:
  KickTarget(pid_t tid, std::atomic<bool>& is_due) : tid_(tid), is_due_(&is_due) {}

  pid_t tid_;
  std::atomic<bool>* is_due_;  ///< a kick was sent, and the thread has not seen it yet
};

class KickTimer {
 public:
  /// The bound of a wait for a caller.
  static constexpr std::chrono::milliseconds kPatience{2000};
  /// After so long another thread is to receive calls before the wait goes on.
  static constexpr std::chrono::milliseconds kSoon{5};

  /// The signal that ends a wait. The kernel sends it to nobody, and programs hardly ever do. No
  /// real-time signal: those are refused where the queue of signals is full, while of others only
  /// what they tell is lost (send_signal_locked() of kernel/signal.c). But it merges with one of
  /// somebody else's that is pending, which then is a kick too.
  static int signal_number() { return SIGSTKFLT; }
  /// Installs the handler, once a process. A kick that came neither from a timer nor from another
  /// thread of ours is somebody else's signal: `pass_on` gets it, in signal context.
  static void install_handler(void (*pass_on)(int signal_number));
  static void allow_on_this_thread();
  /// Makes the thread that sends the kicks, while threads can be had. The first arm() does so
  /// otherwise.
  static void keep_ready();

  KickTimer() = default;
  KickTimer(const KickTimer&) = delete;
  KickTimer& operator=(const KickTimer&) = delete;
  ~KickTimer();

  /// Kicks this thread after that time, and again and again: the first kick may come just before
  /// the wait begins. False where no thread can be had that would.
  [[nodiscard]] bool arm(std::chrono::milliseconds patience = kPatience);
  void disarm() { due_.store(kNever); }

 private:
  friend class KickThread;

  static constexpr std::int64_t kNever = INT64_MAX;  ///< nanoseconds of the steady clock

  std::atomic<std::int64_t> due_{kNever};
  std::atomic<std::int64_t> period_{0};
  KickTarget target_ = KickTarget::of_this_thread();
  std::uint64_t known_to_ = 0;  ///< the number of the KickThread that knows it; 0: none
};

}  // namespace shmvisor
