#include "supervisor/inject/kick_thread.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <optional>

#include "supervisor/kernel/thread.h"

namespace shmvisor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kStackBytes = std::size_t{64} * 1024;

std::atomic<KickThread*> g_current{nullptr};
std::atomic<std::uint64_t> g_last_number{0};
std::optional<uid_t> g_user = ::geteuid();  // NOLINT: ours; none where we forked since
Mutex g_making;                             // NOLINT: of the former two

/// Of a forked process, whose only thread may have forked with that mutex held.
void leave_behind() {
  g_current.store(nullptr);
  g_user.reset();
  new (&g_making) Mutex;
}

}  // namespace

std::int64_t KickThread::now() {
  return std::chrono::nanoseconds(Clock::now().time_since_epoch()).count();
}

KickThread* KickThread::current() {
  KickThread* const known = g_current.load(std::memory_order_acquire);
  return known != nullptr ? known : make();
}

KickThread* KickThread::make() {
  static const int told_of_forks = ::pthread_atfork(nullptr, nullptr, leave_behind);
  if (told_of_forks != 0) return nullptr;
  const MutexLock lock(g_making);
  if (KickThread* const made = g_current.load()) return made;
  // A new thread has the identity of the thread that made it. So a thread that has borrowed the
  // identity of a caller makes none. Whatever needs that identity was tried without it before.
  if (!g_user) g_user = ::geteuid();
  if (::geteuid() != *g_user) return nullptr;
  auto* const thread = new (std::nothrow) KickThread(g_last_number.fetch_add(1) + 1);
  if (thread == nullptr) return nullptr;
  if (!start_detached(enter, thread, kStackBytes)) {
    delete thread;
    return nullptr;
  }
  g_current.store(thread, std::memory_order_release);
  return thread;
}

void* KickThread::enter(void* self) { static_cast<KickThread*>(self)->run(); }

bool KickThread::add(KickTimer& timer) {
  const MutexLock lock(mutex_);
  try {
    timers_.push_back(&timer);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void KickThread::forget(const KickTimer& timer, std::uint64_t number) {
  KickThread* const known = g_current.load();
  if (known == nullptr || known->number() != number) return;  // another process's
  const MutexLock lock(known->mutex_);
  std::erase(known->timers_, &timer);
}

void KickThread::set_wake(std::int64_t due) {
  const MutexLock lock(mutex_);
  if (due >= wakes_at_.load()) return;
  wakes_at_.store(due);
  sooner_.notify_one();
}

void KickThread::run() {
  const MutexLock lock(mutex_);
  for (;;) {
    kick_due_ones();
    while (wakes_at_.load() == KickTimer::kNever) sooner_.wait(mutex_);
    const std::chrono::nanoseconds until(wakes_at_.load());
    (void)sooner_.wait_until(mutex_, Clock::time_point(until));
  }
}

void KickThread::kick_due_ones() {
  // From here on a timer that is set has this thread look again. A timer that was set before is
  // seen below.
  wakes_at_.store(KickTimer::kNever);
  const std::int64_t now = KickThread::now();
  std::int64_t next = KickTimer::kNever;
  for (KickTimer* const timer : timers_) {
    std::int64_t due = timer->due_.load();
    if (due <= now) {
      timer->target_.kick();
      const std::int64_t again = now + timer->period_.load(std::memory_order_relaxed);
      if (timer->due_.compare_exchange_strong(due, again)) due = again;
    }
    next = std::min(next, due);
  }
  wakes_at_.store(next);
}

}  // namespace shmvisor
