// KickThread: the thread that kicks the threads whose KickTimer has run out.
//
// It sleeps until the first of all times that timers were set to. A timer that is set to a later
// time does not wake it. A timer that was disarmed meanwhile wakes it once, in vain. So under load
// it wakes about once for each KickTimer::kSoon, and while no timer is set it soon sleeps for good.
//
// A process that was forked has one of its own: threads stay behind.
//
// Thread rule: any thread. No other mutex is taken while its own is held.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "policy/base/mutex.h"
#include "supervisor/inject/kick_timer.h"

namespace shmvisor {

class KickThread {
 public:
  /// This process's, which is never destroyed; null where no thread can be created.
  static KickThread* current();
  /// Once it returns the timer is not used any more. `number`: of the thread that knows it.
  static void forget(const KickTimer& timer, std::uint64_t number);
  /// Nanoseconds of the steady clock.
  static std::int64_t now();

  KickThread(const KickThread&) = delete;
  KickThread& operator=(const KickThread&) = delete;

  /// Never 0, nor that of another process.
  [[nodiscard]] std::uint64_t number() const { return number_; }
  /// False where there is no memory for it.
  [[nodiscard]] bool add(KickTimer& timer);
  /// To be called when a timer has been set to `due`.
  void wake_by(std::int64_t due) {
    if (due < wakes_at_.load()) set_wake(due);
  }

 private:
  explicit KickThread(std::uint64_t number) : number_(number) {}

  static KickThread* make();
  static void* enter(void* self);
  [[noreturn]] void run();
  /// Kicks those whose time has come.
  void kick_due_ones() REQUIRES(mutex_);
  void set_wake(std::int64_t due);

  const std::uint64_t number_;
  std::atomic<std::int64_t> wakes_at_{KickTimer::kNever};  ///< changed with the mutex held
  Mutex mutex_;
  Condition sooner_;
  std::vector<KickTimer*> timers_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
