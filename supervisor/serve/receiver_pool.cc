#include "supervisor/serve/receiver_pool.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "supervisor/inject/tracee.h"
#include "supervisor/kernel/thread.h"
#include "supervisor/log/limited_log.h"
#include "supervisor/tasks/losable_threads.h"

namespace shmvisor {
namespace {

/// Served calls are shallow; a small stack keeps an idle supervisor small.
constexpr std::size_t kStackBytes = std::size_t{256} * 1024;

}  // namespace

int ReceiverPool::calls_of(int threads) { return std::max(threads - 4, 1); }

ReceiverPool::ReceiverPool(Listener& listener, int most_threads, Handler& handler)
    : listener_(listener),
      most_threads_(most_threads),
      handler_(handler),
      watchdog_([this] { return look(); }) {}

Result<void> ReceiverPool::start() {
  const MutexLock lock(mutex_);
  // Only now: a pool at rest since its beginning costs neither descriptor nor thread.
  if (auto started = watchdog_.start(); !started) return started;
  resting_ = false;
  if (!call_receiver()) return Errno(EAGAIN);
  return {};
}

void ReceiverPool::keep_reserve() {
  LosableThreads::all().keep_reserve();
  KickTimer::keep_ready();
}

void ReceiverPool::rest() {
  MutexLock lock(mutex_);
  resting_ = true;
  called_.notify_all();
  wake_receivers();
  const bool last_gone = threads_ == 0;
  lock.unlock();
  if (last_gone) watchdog_.stop();
}

void ReceiverPool::wake_receivers() {
  for (const Worker* const worker : workers_) {
    if (worker->receiving.load()) worker->thread.kick();
  }
}

bool ReceiverPool::idle() const {
  const MutexLock lock(mutex_);
  return threads_ == 0;
}

template <ReceiverPool::Begin begin>
void* ReceiverPool::enter(void* self) {
  static_cast<ReceiverPool*>(self)->run(begin);
  return nullptr;
}

bool ReceiverPool::add_thread(Begin begin) {
  if (threads_ >= most_threads_) return false;
  try {
    // So that the thread need not allocate to enter itself.
    workers_.reserve(static_cast<std::size_t>(threads_) + 1);
  } catch (const std::bad_alloc&) {
    return false;
  }
  auto* const entry = begin == Begin::kParked ? enter<Begin::kParked> : enter<Begin::kResuming>;
  const auto started = start_detached(entry, this, kStackBytes);
  if (started) {
    ++threads_;
    if (begin == Begin::kParked) ++parked_;
    handler_.limit_to(calls_of(most_threads_));
    return true;
  }
  // Further calls must not take the last thread, which receives.
  handler_.limit_to(threads_ - 1);
  log_limited(spdlog::level::warn, LogTopic::kThreads, LogLimiter::kNobody,
              "no new serving thread: {}; calls may wait for one another",
              std::strerror(started.error().value()));
  return false;
}

void ReceiverPool::ensure_receiver() {
  if (receivers_.load() != 0) return;
  const MutexLock lock(mutex_);
  call_receiver();
}

void ReceiverPool::ensure_receiver_for_waiting() {
  if (listener_.call_waits()) ensure_receiver();
}

void ReceiverPool::expect_wait() {
  if (served_.load(std::memory_order_relaxed) > 1 && receivers_.load() == 0 &&
      listener_.call_waits()) {
    ensure_receiver();
  }
}

bool ReceiverPool::call_receiver() {
  if (over_ || resting_ || receivers_.load() + calls_to_parked_ != 0) return true;
  if (parked_ == 0 && !add_thread()) return false;
  ++calls_to_parked_;
  called_.notify_one();
  return true;
}

std::chrono::milliseconds ReceiverPool::look() {
  const auto again = handler_.look();
  look_after_aside();
  return look_after_receiver() ? Watchdog::kLater : again;
}

void ReceiverPool::look_after_aside() {
  if (!handler_.can_resume()) return;
  // In a thread of its own: the others are to receive.
  const MutexLock lock(mutex_);
  if (over_ || resting_ || add_thread(Begin::kResuming)) return;
  // A busy thread serves them when its call is over; a receiving thread is woken from NOTIF_RECV.
  resume_wanted_ = true;
  if (parked_ > calls_to_parked_) {
    ++calls_to_parked_;
    called_.notify_one();
  } else {
    wake_receivers();
  }
}

bool ReceiverPool::look_after_receiver() {
  if (receivers_.load() != 0) return false;
  const std::uint64_t received = received_.load();
  if (received != std::exchange(looked_at_, received)) return true;
  ensure_receiver();
  return false;
}

void ReceiverPool::resume() {
  mutex_.unlock();
  served_.fetch_add(1, std::memory_order_relaxed);
  handler_.resume();
  served_.fetch_sub(1, std::memory_order_relaxed);
  mutex_.lock();
}

bool ReceiverPool::become_receiver() {
  while (!over_ && !resting_) {
    if (std::exchange(resume_wanted_, false)) {
      resume();
      continue;
    }
    if (receivers_.load() == 0) {
      receivers_.fetch_add(1);
      // A thread must be left that takes over when this one is kept.
      if (parked_ == calls_to_parked_) add_thread();
      return true;
    }
    if (parked_ >= kMostParked) return false;
    ++parked_;
    park();
  }
  return false;
}

void ReceiverPool::park() {
  while (calls_to_parked_ == 0 && !over_ && !resting_) called_.wait(mutex_);
  --parked_;
  if (calls_to_parked_ != 0) --calls_to_parked_;
}

void ReceiverPool::run(Begin begin) {
  KickTimer::allow_on_this_thread();
  Worker self;
  MutexLock lock(mutex_);
  workers_.push_back(&self);
  if (begin == Begin::kParked) {
    park();
  } else {
    resume();
  }
  // The kernel detaches what a thread could not detach when the thread ends.
  while (!(Tracee::this_thread_abandoned_one() && call_receiver()) && become_receiver()) {
    lock.unlock();
    const bool ended = !receive_one(self);
    lock.lock();
    if (!ended) continue;
    over_ = true;
    called_.notify_all();
  }
  if (over_ && threads_ == 1) {
    // Something may still be kept for the last caller, until its end is seen a moment later.
    lock.unlock();
    const bool looks_again = handler_.look().count() != 0;
    lock.lock();
    if (!looks_again) watchdog_.begin_to_stop();
  }
  std::erase(workers_, &self);
  --threads_;
  ended_.notify_all();
}

void ReceiverPool::begin_with(std::vector<seccomp_notif> left) {
  const MutexLock lock(mutex_);
  left_ = std::move(left);
  any_left_.store(!left_.empty());
}

std::optional<seccomp_notif> ReceiverPool::take_left() {
  if (!any_left_.load(std::memory_order_relaxed)) return std::nullopt;
  const MutexLock lock(mutex_);
  if (left_.empty()) return std::nullopt;
  const seccomp_notif taken = left_.back();
  left_.pop_back();
  any_left_.store(!left_.empty());
  return taken;
}

void ReceiverPool::serve(const seccomp_notif& notif) {
  received_.fetch_add(1);
  receivers_.fetch_sub(1);
  served_.fetch_add(1, std::memory_order_relaxed);
  handler_.serve(notif);
  served_.fetch_sub(1, std::memory_order_relaxed);
}

bool ReceiverPool::receive_one(Worker& self) {
  if (const auto left = take_left()) {
    serve(*left);
    return true;
  }
  self.receiving.store(true);
  const auto notif = listener_.receive();
  self.receiving.store(false);
  if (notif) {
    serve(*notif);
    return true;
  }
  receivers_.fetch_sub(1);
  // ENOENT also means that one call was gone before it could be read.
  return notif.error() == Errno(EINTR) || (notif.error() == Errno(ENOENT) && !listener_.ended());
}

bool ReceiverPool::wait_for_end() {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::seconds kBound(1);
  constexpr std::chrono::milliseconds kBetweenWakes(5);
  const auto deadline = Clock::now() + kBound;
  MutexLock lock(mutex_);
  over_ = true;
  // Again and again: a thread that is just about to receive misses it.
  while (threads_ != 0 && Clock::now() < deadline) {
    called_.notify_all();
    wake_receivers();
    const auto next_wake = Clock::now() + kBetweenWakes;
    while (threads_ != 0 && ended_.wait_until(mutex_, next_wake)) {
    }
  }
  return threads_ == 0;
}

}  // namespace shmvisor
