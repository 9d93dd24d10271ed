// Watchdog: a thread that calls a function a millisecond after it was asked to.
//
// ask() is cheap: one atomic exchange, and a system call at most once a millisecond. The thread
// sleeps until a timer ends. If there is no descriptor for a timer, ask() wakes the thread, which
// then sleeps for the millisecond.
//
// Thread rule: ask() and begin_to_stop() from any thread, between start() and stop(); start() and
// stop() from one thread at a time. `look` runs on the watchdog's own thread.
#pragma once

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>

#include "policy/base/mutex.h"
#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

class Watchdog {
 public:
  /// `look` returns how much later to call it again; 0: not until the next ask().
  explicit Watchdog(std::function<std::chrono::milliseconds()> look) : look_(std::move(look)) {}
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog() { stop(); }

  static constexpr std::chrono::milliseconds kLater{1};

  /// Does nothing if the watchdog is started already. EAGAIN or ENOMEM if no thread can be created.
  Result<void> start();
  /// Makes the thread end soon, without waiting for that. Before stop(), which then need not wait.
  void begin_to_stop();
  /// Waits until `look` is not running, and will not run again.
  void stop();
  void ask() {
    if (!asked_.exchange(true)) set_timer(kLater);
  }

 private:
  using Clock = std::chrono::steady_clock;

  void set_timer(std::chrono::nanoseconds later);
  /// Waits until the time that was set. False if something else ended the wait.
  bool wait_for_timer();
  void run();

  const std::function<std::chrono::milliseconds()> look_;
  UniqueFd timer_;  ///< timerfd_create(2)
  Mutex mutex_;
  Condition set_;
  std::optional<Clock::time_point> due_ GUARDED_BY(mutex_);  ///< without a timer
  std::atomic<bool> asked_{false};
  std::atomic<bool> stopping_{false};
  std::optional<pthread_t> thread_;
};

}  // namespace shmvisor
