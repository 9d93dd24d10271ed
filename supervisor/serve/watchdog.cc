#include "supervisor/serve/watchdog.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <cstdint>
#include <system_error>

namespace shmvisor {

Result<void> Watchdog::start() {
  if (thread_.joinable()) return {};
  stopping_.store(false);
  asked_.store(false);
  timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  if (!timer_.valid()) return Errno::current();
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    return Errno(EAGAIN);
  }
  return {};
}

void Watchdog::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true);
  set_timer(std::chrono::nanoseconds(1));
  thread_.join();
  timer_.reset();
}

void Watchdog::set_timer(std::chrono::nanoseconds later) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(later);
  itimerspec when{};
  when.it_value.tv_sec = seconds.count();
  when.it_value.tv_nsec = (later - seconds).count();
  ::timerfd_settime(timer_.get(), 0, &when, nullptr);
}

void Watchdog::run() {
  for (;;) {
    std::uint64_t expirations = 0;
    (void)!::read(timer_.get(), &expirations, sizeof(expirations));
    if (stopping_.load()) return;
    if (expirations == 0) continue;  // a signal
    // From here on ask() sets the timer anew, so that no request is missed.
    asked_.store(false);
    const auto again = look_();
    if (again == std::chrono::milliseconds(0)) continue;
    set_timer(again);
    // A thread that asked meanwhile, or stops us, had set an earlier time.
    if (asked_.load() || stopping_.load()) set_timer(kLater);
  }
}

}  // namespace shmvisor
