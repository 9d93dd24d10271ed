#include "supervisor/memory/lock_keeper.h"

#include <pthread.h>

#include <csignal>
#include <system_error>
#include <utility>

#include "supervisor/log/limited_log.h"

namespace shmvisor {

LockKeeper::~LockKeeper() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void LockKeeper::add(const void* owner, Renewal renewal) {
  {
    const std::lock_guard lock(mutex_);
    renewals_.insert_or_assign(owner, std::move(renewal));
    if (!runs_) start();
  }
  changed_.notify_all();
}

void LockKeeper::remove(const void* owner) {
  const std::lock_guard lock(mutex_);
  if (renewals_.erase(owner) != 0) changed_.notify_all();
}

void LockKeeper::start() {
  if (thread_.joinable()) thread_.join();  // it is done, but for its end
  // Signals are for other threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] { run(); });
    runs_ = true;
  } catch (const std::system_error& error) {
    log_limited(spdlog::level::info, LogTopic::kLocking, LogLimiter::kNobody,
                "SHM_LOCK: pages touched later may be swapped: {}", error.what());
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void LockKeeper::run() {
  std::unique_lock lock(mutex_);
  while (!over_ && !renewals_.empty()) {
    if (changed_.wait_for(lock, period_, [this] { return over_ || renewals_.empty(); })) break;
    std::erase_if(renewals_, [](const auto& entry) { return !entry.second(); });
  }
  runs_ = false;
}

}  // namespace shmvisor
