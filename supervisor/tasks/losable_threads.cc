#include "supervisor/tasks/losable_threads.h"

#include <unistd.h>

#include <memory>
#include <new>
#include <utility>

#include "policy/limits/fair_share.h"
#include "supervisor/kernel/thread.h"

namespace shmvisor {
namespace {

constexpr std::size_t kStackBytes = std::size_t{256} * 1024;

}  // namespace

LosableThreads& LosableThreads::all() {
  static LosableThreads* const threads = new LosableThreads;  // NOLINT: never destroyed
  return *threads;
}

LosableThreads::LosableThreads() { idle_.reserve(kMost); }

void LosableThreads::keep_reserve() {
  const MutexLock lock(mutex_);
  keeps_reserve_ = true;
  refill_reserve();
}

void LosableThreads::refill_reserve() {
  if (!keeps_reserve_ || !idle_.empty()) return;
  if (auto worker = make_worker(); worker != nullptr) idle_.push_back(std::move(worker));
}

Result<void> LosableThreads::run(std::function<void()> task, std::chrono::milliseconds patience,
                                 Reserve reserve) {
  const bool may_wait = patience.count() > 0;
  if (may_wait) HeldLocks::assert_may_wait();
  const auto deadline = std::chrono::steady_clock::now() + patience;
  MutexLock lock(mutex_);
  WorkerPointer worker = take_worker(reserve);
  for (bool in_time = may_wait; worker == nullptr && in_time; worker = take_worker(reserve)) {
    in_time = thread_is_free_.wait_until(mutex_, deadline);
  }
  if (worker == nullptr) return Errno(EAGAIN);
  move_here(*worker);
  worker->task = std::move(task);
  // The thread runs at once, and would wait for the lock.
  lock.unlock();
  worker->task_came.notify_one();
  return {};
}

void LosableThreads::move_here(Worker& worker) {
  const int cpu = ::sched_getcpu();
  if (worker.tid == 0 || cpu < 0 || cpu == worker.cpu) return;
  cpu_set_t here;
  CPU_ZERO(&here);
  CPU_SET(static_cast<unsigned>(cpu), &here);
  worker.cpu = ::sched_setaffinity(worker.tid, sizeof(here), &here) == 0 ? cpu : -1;
}

LosableThreads::WorkerPointer LosableThreads::take_worker(Reserve reserve) {
  const std::size_t kept_back = keeps_reserve_ ? 1 : 0;
  if (idle_.size() <= kept_back) {
    if (auto made = make_worker(); made != nullptr) {
      refill_reserve();
      return made;
    }
    if (idle_.empty() || reserve != Reserve::kMayUse) return nullptr;
  }
  WorkerPointer worker = std::move(idle_.back());
  idle_.pop_back();
  return worker;
}

LosableThreads::WorkerPointer LosableThreads::make_worker() {
  if (threads_ - lost_ >= kMost) return nullptr;
  const auto entry = [](void* made) -> void* {
    const std::unique_ptr<WorkerPointer> self(static_cast<WorkerPointer*>(made));
    all().work(*self);
    return nullptr;
  };
  try {
    auto worker = std::make_shared<Worker>();
    auto its_own = std::make_unique<WorkerPointer>(worker);
    if (!start_detached(entry, its_own.get(), kStackBytes)) return nullptr;
    (void)its_own.release();
    ++threads_;
    return worker;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

int LosableThreads::lost_of_group(std::uintptr_t group) const {
  int lost = 0;
  for (auto at = lost_of_.lower_bound({group, 0}); at != lost_of_.end(); ++at) {
    if (at->first.group != group) break;
    lost += at->second;
  }
  return lost;
}

bool LosableThreads::may_lose_of_anybody(std::uintptr_t group) const {
  const MutexLock lock(mutex_);
  if (lost_ == 0) return true;
  const int of_group = lost_of_group(group);
  return of_group == 0 || 2 * of_group < kMostLost - lost_;
}

bool LosableThreads::may_lose(const Payer& payer) const {
  const MutexLock lock(mutex_);
  const int of_group = lost_of_group(payer.group);
  if (of_group == 0) return true;
  const int left_to_group = kMostLost - lost_ - of_group;
  if (left_to_group <= 0) return false;
  const auto known = lost_of_.find(payer);
  return within_fair_share(known == lost_of_.end() ? 0 : known->second, left_to_group);
}

void LosableThreads::lose(const Payer& payer) {
  const MutexLock lock(mutex_);
  ++lost_;
  ++lost_of_[payer];
  thread_is_free_.notify_one();
}

void LosableThreads::come_back(const Payer& payer) {
  const MutexLock lock(mutex_);
  --lost_;
  const auto known = lost_of_.find(payer);
  if (--known->second == 0) lost_of_.erase(known);
}

void LosableThreads::work(const WorkerPointer& self) noexcept {
  MutexLock lock(mutex_);
  self->tid = gettid();
  for (;;) {
    while (self->task == nullptr) self->task_came.wait(mutex_);
    auto task = std::exchange(self->task, nullptr);
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
    if (idle_.size() >= kMostIdle) break;
    idle_.push_back(self);
    thread_is_free_.notify_one();
  }
  --threads_;
  thread_is_free_.notify_one();
}

}  // namespace shmvisor
