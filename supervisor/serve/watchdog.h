// Watchdog: a thread that calls a function a millisecond after it was asked to.
//
// ask() is cheap: one atomic exchange, and a system call at most once a millisecond. The thread
// sleeps until then.
//
// Thread rule: ask() from any thread, between start() and stop(); these from one at a time. `look`
// runs on the thread itself.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

class Watchdog {
 public:
  /// `look` answers how much later to call it again; 0: not until the next ask().
  explicit Watchdog(std::function<std::chrono::milliseconds()> look) : look_(std::move(look)) {}
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog() { stop(); }

  static constexpr std::chrono::milliseconds kLater{1};

  /// Does nothing where it is started already. EMFILE where no timer, EAGAIN where no thread can be
  /// created.
  Result<void> start();
  /// Waits until `look` is not running, and will not run again.
  void stop();
  void ask() {
    if (!asked_.exchange(true)) set_timer(kLater);
  }

 private:
  void set_timer(std::chrono::nanoseconds later);
  void run();

  const std::function<std::chrono::milliseconds()> look_;
  UniqueFd timer_;  ///< timerfd_create(2)
  std::atomic<bool> asked_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace shmvisor
