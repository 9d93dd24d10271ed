#include "supervisor/tasks/run_aside.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <map>
#include <new>
#include <utility>

#include "policy/base/mutex.h"
#include "policy/limits/fair_share.h"
#include "supervisor/kernel/thread.h"

namespace shmvisor {
namespace {

constexpr std::size_t kStackBytes = std::size_t{64} * 1024;

class Aside {
 public:
  /// Never destroyed: a lost thread may come back at any time.
  static Aside& all() {
    static Aside* const made = new Aside;  // NOLINT
    return *made;
  }

  bool add(uid_t user, std::function<void()> work);

 private:
  struct Work {
    uid_t user = 0;
    std::function<void()> run;
  };
  /// Moved from list to list without memory.
  using Works = std::list<Work>;
  struct User {
    int threads = 0;
    std::size_t queued = 0;
  };

  static void* work_on(void* self);
  static void* destroy_on(void* self);
  void work() noexcept;
  void destroy() noexcept;

  [[nodiscard]] bool has_thread_for(const User& user) const REQUIRES(mutex_) {
    return user.threads < kMostOfOne &&
           within_fair_share(user.threads, kMostThreadsAside - threads_);
  }
  [[nodiscard]] bool start(void* (*entry)(void*));
  [[nodiscard]] Works::iterator first_that_may_run() REQUIRES(mutex_);
  /// One thread at a time, which starts the next one where there is work for that, too.
  void start_if_wanted() REQUIRES(mutex_);
  /// The first that may run now, counted as running; empty where there is none.
  Works take_next() REQUIRES(mutex_);
  void end_of(uid_t user) REQUIRES(mutex_);

  Mutex mutex_;
  Works queued_ GUARDED_BY(mutex_);
  Works refused_ GUARDED_BY(mutex_);  ///< to be destroyed
  std::map<uid_t, User> users_ GUARDED_BY(mutex_);
  int threads_ GUARDED_BY(mutex_) = 0;  ///< that run work, or are about to
  bool starting_ GUARDED_BY(mutex_) = false;
  bool destroys_ GUARDED_BY(mutex_) = false;
};

bool Aside::add(uid_t user, std::function<void()> work) {
  Works unwanted;  // destroyed after the lock is released
  Works entry;
  entry.push_back({user, std::move(work)});
  const MutexLock lock(mutex_);
  User& its_own = users_[user];
  if (its_own.queued >= kMostQueuedOfOne) {
    refused_.splice(refused_.end(), entry);
    if (!destroys_) destroys_ = start(destroy_on);
    if (!destroys_) unwanted.swap(refused_);
    return false;
  }
  ++its_own.queued;
  queued_.splice(queued_.end(), entry);
  start_if_wanted();
  if (threads_ != 0) return true;  // one of them takes it later
  unwanted.swap(queued_);
  users_.clear();
  return false;
}

void Aside::start_if_wanted() {
  if (starting_ || first_that_may_run() == queued_.end()) return;
  starting_ = start(work_on);
  if (starting_) ++threads_;
}

bool Aside::start(void* (*entry)(void*)) {
  const auto started = start_detached(entry, this, kStackBytes);
  if (!started) {
    spdlog::debug("no thread to free memory in: {}", std::strerror(started.error().value()));
  }
  return started.ok();
}

void* Aside::work_on(void* self) {
  static_cast<Aside*>(self)->work();
  return nullptr;
}

void* Aside::destroy_on(void* self) {
  static_cast<Aside*>(self)->destroy();
  return nullptr;
}

void Aside::work() noexcept {
  MutexLock lock(mutex_);
  --threads_;
  starting_ = false;
  for (;;) {
    Works next = take_next();
    if (next.empty()) return;
    start_if_wanted();
    lock.unlock();
    const uid_t user = next.front().user;
    next.front().run();
    next.clear();
    lock.lock();
    end_of(user);
  }
}

void Aside::destroy() noexcept {
  MutexLock lock(mutex_);
  while (!refused_.empty()) {
    Works refused;
    refused.swap(refused_);
    lock.unlock();
    refused.clear();
    lock.lock();
  }
  destroys_ = false;
}

Aside::Works::iterator Aside::first_that_may_run() {
  return std::ranges::find_if(queued_, [this](const Work& one) NO_THREAD_SAFETY_ANALYSIS {
    return has_thread_for(users_.at(one.user));
  });
}

Aside::Works Aside::take_next() {
  Works next;
  const auto found = first_that_may_run();
  if (found == queued_.end()) return next;
  User& user = users_.at(found->user);
  --user.queued;
  ++user.threads;
  ++threads_;
  next.splice(next.end(), queued_, found);
  return next;
}

void Aside::end_of(uid_t user) {
  --threads_;
  const auto known = users_.find(user);
  --known->second.threads;
  if (known->second.threads == 0 && known->second.queued == 0) users_.erase(known);
}

}  // namespace

bool run_aside(uid_t user, std::function<void()> work) noexcept {
  try {
    return Aside::all().add(user, std::move(work));
  } catch (const std::bad_alloc&) {  // destroyed here: there is no memory to queue it
    return false;
  }
}

}  // namespace shmvisor
