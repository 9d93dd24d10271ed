#include "supervisor/serve/watchdog.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "supervisor/kernel/thread.h"

namespace shmvisor {
namespace {

constexpr std::size_t kStackBytes = std::size_t{256} * 1024;

}  // namespace

Result<void> Watchdog::start() {
  if (thread_) return {};
  stopping_.store(false);
  asked_.store(false);
  timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  const auto entry = [](void* self) -> void* {
    static_cast<Watchdog*>(self)->run();
    return nullptr;
  };
  const auto started = start_joinable(entry, this, kStackBytes);
  if (!started) return started.error();
  thread_ = *started;
  return {};
}

void Watchdog::begin_to_stop() {
  stopping_.store(true);
  set_timer(std::chrono::nanoseconds(1));
}

void Watchdog::stop() {
  if (!thread_) return;
  if (!stopping_.load()) begin_to_stop();
  ::pthread_join(*thread_, nullptr);
  thread_.reset();
  timer_.reset();
}

void Watchdog::set_timer(std::chrono::nanoseconds later) {
  if (!timer_.valid()) {
    const MutexLock lock(mutex_);
    due_ = Clock::now() + later;
    set_.notify_one();
    return;
  }
  const auto seconds = std::chrono::floor<std::chrono::seconds>(later);
  itimerspec when{};
  when.it_value.tv_sec = seconds.count();
  when.it_value.tv_nsec = (later - seconds).count();
  ::timerfd_settime(timer_.get(), 0, &when, nullptr);
}

bool Watchdog::wait_for_timer() {
  if (timer_.valid()) {
    std::uint64_t expirations = 0;
    (void)!::read(timer_.get(), &expirations, sizeof(expirations));
    return expirations != 0;  // else it was a signal
  }
  const MutexLock lock(mutex_);
  while (!due_) set_.wait(mutex_);
  const auto due = *due_;
  if (Clock::now() < due && set_.wait_until(mutex_, due)) return false;  // it was set anew
  due_.reset();
  return true;
}

void Watchdog::run() {
  for (;;) {
    const bool is_time = wait_for_timer();
    if (stopping_.load()) return;
    if (!is_time) continue;
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
