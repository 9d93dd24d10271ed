#include "supervisor/control/forced_detach.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
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
/// Threads that hostile processes keep, of this process; and those of one user's. These take no
/// more of kMostTime than others need some of.
constexpr std::size_t kMostThreads = 16;
constexpr std::ptrdiff_t kMostOfUser = 4;
constexpr pid_t kNoThread = 0;
constexpr pid_t kAtNone = -1;

/// Where a thread is: at a process, or one of these.
struct Whereabouts {
  std::atomic<pid_t> pid{kNoThread};
  std::atomic<uid_t> user{0};  ///< of that process
  std::atomic<std::uintptr_t> group{0};
};
std::array<Whereabouts, kMostThreads> g_threads;

/// Whether an earlier detach still has a thread at that process, which would keep another as well.
bool keeps_a_thread(pid_t pid) {
  return std::ranges::any_of(g_threads, [pid](const auto& at) { return at.pid == pid; });
}
bool may_keep_another(uid_t user, std::uintptr_t group) {
  return std::ranges::count_if(g_threads, [=](const auto& at) {
           return at.pid > 0 && at.user == user && at.group == group;
         }) < kMostOfUser;
}

/// Nothing where the process has ended. Its files in /proc/PID/ns, which say more, may keep whoever
/// opens them: not before it is known where the thread is.
std::optional<uid_t> user_of(pid_t pid) {
  const auto status = TaskStatus::read(pid);
  return status ? std::optional(status->uid) : std::nullopt;
}

/// A thread's place among them.
class Place {
 public:
  static std::optional<Place> take() {
    for (Whereabouts& at : g_threads) {
      pid_t expected = kNoThread;
      if (at.pid.compare_exchange_strong(expected, kAtNone)) return Place(at);
    }
    return std::nullopt;
  }
  Place(Place&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
  Place& operator=(Place&&) = delete;
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    if (at_ != nullptr) at_->pid = kNoThread;
  }

  void go_to(pid_t pid, uid_t user, std::uintptr_t group) {
    at_->user = user;
    at_->group = group;
    at_->pid = pid;
  }
  void go_away() { at_->pid = kAtNone; }

 private:
  explicit Place(Whereabouts& at) : at_(&at) {}

  Whereabouts* at_;
};

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

/// Empty where nothing went wrong, and where the process is gone.
std::string trouble_of(const Result<ForcedUnmapping>& unmapped) {
  const Errno error = unmapped ? unmapped->error : unmapped.error();
  if (error == Errno(0) || error == Errno(ESRCH)) return {};
  if (error == Errno(EACCES)) {
    return "it does not run, as in a frozen cgroup, or has no code that enters the kernel";
  }
  if (error == Errno(EOPNOTSUPP)) {
    return "a seccomp filter of its own forbids what detaches it, or has killed it for that";
  }
  const char* const what = unmapped ? "a mapping of it stays: " : "its mappings cannot be read: ";
  return what + std::string(std::strerror(error.value()));
}

/// What threads of one detach have in common; a lost one keeps it.
class Work {
 public:
  Work(std::vector<pid_t> pids, const FileIdentity& file, AccessGives gives,
       const KernelFeatures& features, std::uintptr_t group)
      : pids_(std::move(pids)), file_(file), gives_(gives), features_(features), group_(group) {}

  /// In a thread of its own: until it is the turn of a later one.
  void run(int number, Place& place) {
    KickTimer::allow_on_this_thread();
    while (const auto pid = next(number)) {
      DetachedProcess outcome = detach(*pid, number, place);
      place.go_away();
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
  [[nodiscard]] bool is_turn_of(int number) {
    const MutexLock lock(mutex_);
    return number == number_;
  }
  /// False where it was given up meanwhile.
  bool finish(int number, DetachedProcess outcome) {
    const MutexLock lock(mutex_);
    if (number != number_) {
      // It was in the middle of that when its time was over.
      if (outcome.unmapped.ranges == 0) return false;
      spdlog::warn("a detach that was given up: process {} has lost {} bytes all the same",
                   outcome.pid, outcome.unmapped.bytes);
      return false;
    }
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

  DetachedProcess detach(pid_t pid, int number, Place& place) {
    DetachedProcess outcome;
    outcome.pid = pid;
    if (keeps_a_thread(pid)) {
      outcome.trouble = "it keeps whoever looked at it before";
      return outcome;
    }
    const auto user = user_of(pid);
    if (!user) return outcome;
    if (!may_keep_another(*user, group_)) {
      outcome.trouble = "others of its user's keep as many who looked at them as may be";
      return outcome;
    }
    place.go_to(pid, *user, group_);
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
    if (!is_turn_of(number)) return outcome;
    const auto unmapped = unmap_by_force(*held, file_, gives_, features_);
    if (unmapped) outcome.unmapped = *unmapped;
    outcome.trouble = trouble_of(unmapped);
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
  const std::uintptr_t group_;
  Mutex mutex_;
  Condition changed_;
  std::size_t done_ GUARDED_BY(mutex_) = 0;
  int number_ GUARDED_BY(mutex_) = 0;  ///< of the thread whose turn it is
  bool running_ GUARDED_BY(mutex_) = false;
  Clock::time_point began_ GUARDED_BY(mutex_);
  std::vector<DetachedProcess> outcomes_ GUARDED_BY(mutex_);
};

struct ThreadStart {
  Place place;  // destroyed last
  std::shared_ptr<Work> work;
  int number;
};

void* thread_entry(void* started) {
  const std::unique_ptr<ThreadStart> start(static_cast<ThreadStart*>(started));
  try {
    start->work->run(start->number, start->place);
  } catch (const std::exception&) {  // no memory; the process is given up when its time is over
  }
  return nullptr;
}

bool start_thread(const std::shared_ptr<Work>& work, int number) {
  auto place = Place::take();
  if (!place) return false;
  auto start = std::make_unique<ThreadStart>(ThreadStart{std::move(*place), work, number});
  if (!start_detached(thread_entry, start.get(), kStackBytes)) return false;
  (void)start.release();
  return true;
}

}  // namespace

std::vector<DetachedProcess> detach_by_force(std::vector<pid_t> pids, const FileIdentity& file,
                                             AccessGives gives, const KernelFeatures& features,
                                             std::uintptr_t group) {
  const auto deadline = Clock::now() + kMostTime;
  const auto work = std::make_shared<Work>(std::move(pids), file, gives, features, group);
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
