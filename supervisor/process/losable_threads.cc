#include "supervisor/process/losable_threads.h"

#include <pthread.h>

#include <csignal>
#include <utility>

namespace shmvisor {
namespace {

constexpr std::size_t kStackBytes = std::size_t{256} * 1024;

}  // namespace

LosableThreads& LosableThreads::all() {
  static LosableThreads* const threads = new LosableThreads;  // NOLINT: never destroyed
  return *threads;
}

Result<void> LosableThreads::run(std::function<void()> task, std::chrono::milliseconds patience) {
  Tasks one;
  one.push_back(std::move(task));
  std::unique_lock lock(mutex_);
  const auto find_thread = [this] { return idle_ > 0 || (threads_ < kMost && add_thread()); };
  if (!thread_is_free_.wait_for(lock, patience, find_thread)) return Errno(EAGAIN);
  --idle_;
  tasks_.splice(tasks_.end(), one);
  task_came_.notify_one();
  return {};
}

bool LosableThreads::add_thread() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  // Signals are for other threads.
  sigset_t everything;
  sigset_t before;
  sigfillset(&everything);
  pthread_sigmask(SIG_SETMASK, &everything, &before);
  const auto entry = [](void* self) -> void* {
    static_cast<LosableThreads*>(self)->work();
    return nullptr;
  };
  pthread_t thread{};
  const bool added = pthread_create(&thread, &attributes, entry, this) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (!added) return false;
  ++threads_;
  ++idle_;
  return true;
}

void LosableThreads::work() noexcept {
  std::unique_lock lock(mutex_);
  for (;;) {
    task_came_.wait(lock, [this] { return !tasks_.empty(); });
    Tasks task;
    task.splice(task.end(), tasks_, tasks_.begin());
    lock.unlock();
    task.front()();
    task.clear();
    lock.lock();
    if (idle_ >= kMostIdle) break;
    ++idle_;
    thread_is_free_.notify_one();
  }
  --threads_;
  thread_is_free_.notify_one();
}

}  // namespace shmvisor
