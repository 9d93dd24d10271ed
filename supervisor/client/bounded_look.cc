#include "supervisor/client/bounded_look.h"

#include <algorithm>
#include <map>
#include <new>
#include <optional>
#include <utility>

#include "policy/base/mutex.h"
#include "supervisor/tasks/losable_threads.h"

namespace shmvisor::client {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLeast(10);

/// What a look and its thread share.
class Outcome {
 public:
  void set(Result<void> result) {
    const MutexLock lock(mutex_);
    result_ = std::move(result);
    came_.notify_all();
  }
  /// Nothing where it has not come in time.
  std::optional<Result<void>> wait_until(Clock::time_point latest) {
    const MutexLock lock(mutex_);
    while (!result_ && came_.wait_until(mutex_, latest)) {
    }
    return result_;
  }

 private:
  Mutex mutex_;
  Condition came_;
  std::optional<Result<void>> result_ GUARDED_BY(mutex_);
};

/// Looks that have not come back. Of the client's only thread.
std::map<pid_t, std::weak_ptr<Outcome>>& lost() {
  static std::map<pid_t, std::weak_ptr<Outcome>> looks;
  return looks;
}

}  // namespace

Result<void> BoundedLook::at(pid_t pid, std::function<Result<void>()> look) {
  std::erase_if(lost(), [](const auto& one) { return one.second.expired(); });
  if (lost().contains(pid)) return Errno(EAGAIN);
  const auto outcome = std::make_shared<Outcome>();
  const auto patience = std::clamp(left_, kLeast, kPatience);
  const auto began = Clock::now();
  const auto task = [outcome, look = std::move(look)] {
    try {
      outcome->set(look());
    } catch (const std::bad_alloc&) {
      outcome->set(Errno(ENOMEM));
    }
  };
  if (const auto running = LosableThreads::all().run(task, patience); !running) {
    return running.error();
  }
  const auto result = outcome->wait_until(began + patience);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began);
  left_ -= std::min(left_, took);
  if (result) return *result;
  lost().emplace(pid, outcome);
  return Errno(EAGAIN);
}

}  // namespace shmvisor::client
