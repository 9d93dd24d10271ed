#include "supervisor/control/forced_detach.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "policy/base/mutex.h"
#include "policy/base/shortage.h"
#include "supervisor/credentials/thread_viewpoint.h"
#include "supervisor/inject/held_process.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/kernel/thread.h"
#include "supervisor/procfs/proc_file.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kStackBytes = std::size_t{256} * 1024;
/// Threads that hostile processes keep, of this process.
constexpr int kMostLost = 16;
std::atomic<int> g_threads{0};

const char* words_of(HeldProcess::Trouble trouble) {
  switch (trouble) {
    case HeldProcess::Trouble::kGone:
      return "";
    case HeldProcess::Trouble::kTraced:
      return "another tracer has it";
    case HeldProcess::Trouble::kOutOfReach:
      return "it may not be traced";
    case HeldProcess::Trouble::kInExec:
      return "it is in an execve that does not end";
    case HeldProcess::Trouble::kStaysInKernel:
      return "it does not stop";
    case HeldProcess::Trouble::kNoMeans:
      return "descriptors or memory are short";
  }
  __builtin_unreachable();
}

/// One whose address space it still has: the first thread may have ended.
pid_t living_thread(pid_t pid) {
  const auto lives = [](pid_t tid) {
    const auto status = TaskStatus::read(tid);
    return status && status->state != 'Z' && status->state != 'X';
  };
  if (lives(pid)) return pid;
  const auto tids = numbered_entries("/proc/" + std::to_string(pid) + "/task");
  if (!tids) return 0;
  const auto found = std::ranges::find_if(*tids, lives);
  return found == tids->end() ? 0 : *found;
}

/// What threads of one detach have in common; a lost one keeps it.
class Work {
 public:
  Work(std::vector<pid_t> pids, const FileIdentity& file, AccessGives gives,
       const KernelFeatures& features)
      : pids_(std::move(pids)), file_(file), gives_(gives), features_(features) {}

  /// In a thread of its own: until it is the turn of a later one.
  void run(int number) {
    KickTimer::allow_on_this_thread();
    while (const auto pid = next(number)) {
      DetachedProcess outcome = detach(*pid);
      if (!finish(number, std::move(outcome)) || Tracee::this_thread_abandoned_one()) break;
    }
    const MutexLock lock(mutex_);
    if (number_ == number) running_ = false;
    changed_.notify_all();
  }

  /// The number of a thread that is to start; nothing where all is done.
  std::optional<int> begin() {
    const MutexLock lock(mutex_);
    if (done_ == pids_.size()) return std::nullopt;
    running_ = true;
    began_ = Clock::now();
    return ++number_;
  }
  /// Until that thread has ended, or keeps too long at one process, which is given up then.
  void wait(Clock::time_point deadline) {
    const MutexLock lock(mutex_);
    while (running_) {
      const auto until = std::min(deadline, began_ + kMostForOne);
      if (changed_.wait_until(mutex_, until) || Clock::now() < until) continue;
      give_up_locked("it keeps whoever looks at it");
    }
  }
  void give_up(const char* why) {
    const MutexLock lock(mutex_);
    while (done_ != pids_.size()) give_up_locked(why);
  }
  [[nodiscard]] std::vector<DetachedProcess> outcome() {
    const MutexLock lock(mutex_);
    return std::move(outcomes_);
  }

 private:
  std::optional<pid_t> next(int number) {
    const MutexLock lock(mutex_);
    if (number != number_ || done_ == pids_.size()) return std::nullopt;
    began_ = Clock::now();
    return pids_[done_];
  }
  /// False where it was given up meanwhile.
  bool finish(int number, DetachedProcess outcome) {
    const MutexLock lock(mutex_);
    if (number != number_) return false;
    ++done_;
    if (outcome.unmapped.ranges != 0 || !outcome.trouble.empty()) {
      outcomes_.push_back(std::move(outcome));
    }
    return true;
  }
  void give_up_locked(const char* why) REQUIRES(mutex_) {
    DetachedProcess outcome;
    outcome.pid = pids_[done_++];
    outcome.trouble = why;
    outcomes_.push_back(std::move(outcome));
    ++number_;
    running_ = false;
  }

  DetachedProcess detach(pid_t pid) {
    DetachedProcess outcome;
    outcome.pid = pid;
    const auto maps = maps_it(pid);
    if (!maps && is_shortage(maps.error())) {
      outcome.trouble = words_of(HeldProcess::Trouble::kNoMeans);
    }
    if (!maps || !*maps) return outcome;
    if (auto record = record_process(pid, pid)) outcome.record = std::move(*record);
    if (outcome.record.pid == 0) outcome.record.pid = pid;
    auto held = HeldProcess::hold(pid);
    if (!held) {
      outcome.trouble = words_of(held.error());
      return outcome;
    }
    const auto unmapped = unmap_by_force(*held, file_, gives_, features_);
    if (unmapped) outcome.unmapped = *unmapped;
    if (!unmapped && unmapped.error() == Errno(EACCES)) {
      outcome.trouble = "it cannot be made to enter the kernel";
    } else if (!unmapped && unmapped.error() != Errno(ESRCH)) {
      outcome.trouble =
          std::string("its mappings cannot be read: ") + std::strerror(unmapped.error().value());
    } else if (unmapped && unmapped->error != Errno(0) && unmapped->error != Errno(ESRCH)) {
      outcome.trouble =
          std::string("a mapping of it stays: ") + std::strerror(unmapped->error.value());
    }
    return outcome;
  }
  Result<bool> maps_it(pid_t pid) {
    const pid_t tid = living_thread(pid);
    if (tid == 0) return false;
    const auto ranges = mapped_ranges(tid, file_, features_);
    if (!ranges) return ranges.error();
    return !ranges->empty();
  }

  const std::vector<pid_t> pids_;
  const FileIdentity file_;
  const AccessGives gives_;
  KernelFeatures features_;
  Mutex mutex_;
  Condition changed_;
  std::size_t done_ GUARDED_BY(mutex_) = 0;
  int number_ GUARDED_BY(mutex_) = 0;  ///< of the thread whose turn it is
  bool running_ GUARDED_BY(mutex_) = false;
  Clock::time_point began_ GUARDED_BY(mutex_);
  std::vector<DetachedProcess> outcomes_ GUARDED_BY(mutex_);
};

struct ThreadStart {
  std::shared_ptr<Work> work;
  int number;
};

void* thread_entry(void* started) {
  {
    const std::unique_ptr<ThreadStart> start(static_cast<ThreadStart*>(started));
    try {
      start->work->run(start->number);
    } catch (const std::exception&) {  // no memory; the process is given up when its time is over
    }
  }
  --g_threads;
  return nullptr;
}

bool start_thread(const std::shared_ptr<Work>& work, int number) {
  if (++g_threads > kMostLost) {
    --g_threads;
    return false;
  }
  auto start = std::make_unique<ThreadStart>(ThreadStart{work, number});
  if (!start_detached(thread_entry, start.get(), kStackBytes)) {
    --g_threads;
    return false;
  }
  (void)start.release();
  return true;
}

}  // namespace

std::vector<DetachedProcess> detach_by_force(std::vector<pid_t> pids, const FileIdentity& file,
                                             AccessGives gives, const KernelFeatures& features) {
  const auto deadline = Clock::now() + kMostTime;
  const auto work = std::make_shared<Work>(std::move(pids), file, gives, features);
  while (const auto number = work->begin()) {
    if (Clock::now() >= deadline) {
      work->give_up("there was no time left for it");
    } else if (!start_thread(work, *number)) {
      work->give_up("no thread can be had for it");
    } else {
      work->wait(deadline);
    }
  }
  return work->outcome();
}

}  // namespace shmvisor
