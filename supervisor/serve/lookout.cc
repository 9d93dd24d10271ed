#include "supervisor/serve/lookout.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <cstdint>
#include <system_error>

namespace shmvisor {

Result<void> Lookout::start() {
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

void Lookout::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true);
  set_timer(1);
  thread_.join();
  timer_.reset();
}

void Lookout::set_timer(long nanoseconds) {
  itimerspec later{};
  later.it_value.tv_nsec = nanoseconds;
  ::timerfd_settime(timer_.get(), 0, &later, nullptr);
}

void Lookout::run() {
  for (;;) {
    std::uint64_t expirations = 0;
    (void)!::read(timer_.get(), &expirations, sizeof(expirations));
    if (stopping_.load()) return;
    if (expirations == 0) continue;  // a signal
    // From here on who asks sets the timer anew, so nothing asked for is missed.
    asked_.store(false);
    if (look_()) ask();
  }
}

}  // namespace shmvisor
