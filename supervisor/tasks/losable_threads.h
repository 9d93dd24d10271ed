// LosableThreads: threads for work that a process of somebody else's may hold up for ever.
//
// Opening /proc/PID/maps waits for exec_update_lock, asking it for mmap_lock: both are the other
// process's, which may be in the middle of an exec or an mmap that never ends. No signal but a
// fatal one ends such a wait, and that would end us. So it is done in a thread that can be lost,
// while whoever asked waits with a bound of its own. A lost thread comes back when the process goes
// on or ends.
//
// The thread wakes on the CPU of whoever asks, which is about to sleep: a wake-up across CPUs takes
// several times as long as the task.
//
// Bounds: kMost threads that are not lost. A process is looked at only while one more thread may be
// lost for its payer: a group may lose another while it has lost fewer than may be lost yet, and so
// may a user in it, of what the group may lose yet. So whoever loses all that it can leaves others
// a half. The first one of each group is always within its share: kMostLost, one for each group
// beyond it, and what is lost in the same moment (kMost at worst) are all that can be lost. Idle
// threads: two stay, and one in reserve.
//
// The reserve, once keep_reserve() was called: where the limits let no thread be made (pids.max,
// RLIMIT_NPROC), because whoever shares them with us has all, a count has one to be done by. It is
// used only then, or where there are kMost; and another one is made as soon as that is possible.
//
// Errors: EAGAIN where no thread can be had in time. Thread rule: any thread.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "policy/base/mutex.h"
#include "policy/base/result.h"

namespace shmvisor {

class LosableThreads {
 public:
  static constexpr int kMost = 64;
  static constexpr int kMostLost = 96;
  static constexpr int kMostIdle = 3;  ///< the reserve too

  /// Whose process keeps a thread.
  struct Payer {
    std::uintptr_t group = 0;  ///< of the processes that are served together; any number of its own
    uid_t user = 0;            ///< of accountable_user.h

    friend auto operator<=>(const Payer&, const Payer&) = default;
  };
  /// Whether the group has lost so few that it does not matter whose process it is.
  [[nodiscard]] bool may_lose_of_anybody(std::uintptr_t group) const;
  [[nodiscard]] bool may_lose(const Payer& payer) const;
  /// A thread that runs is given up, until come_back().
  void lose(const Payer& payer);
  void come_back(const Payer& payer);

  /// The process's only set, which is never destroyed: a lost thread may come back at any time.
  static LosableThreads& all();

  /// From here on one thread is kept in reserve. May be called again.
  void keep_reserve();

  enum class Reserve : std::uint8_t { kMayUse, kIsForOthers };
  /// Runs `task` in one of them. It owns all that it uses, and lets no exception out.
  Result<void> run(std::function<void()> task, std::chrono::milliseconds patience,
                   Reserve reserve = Reserve::kMayUse);

 private:
  struct Worker {
    Condition task_came;
    std::function<void()> task;
    pid_t tid = 0;  ///< 0: it has not begun yet
    int cpu = -1;   ///< that it may run on alone; -1: any
  };

  LosableThreads();
  void work(Worker& self) noexcept;
  /// Null where none can be had.
  Worker* take_worker(Reserve reserve) REQUIRES(mutex_);
  /// Null where none can be made.
  Worker* make_worker() REQUIRES(mutex_);
  void refill_reserve() REQUIRES(mutex_);
  static void move_here(Worker& worker);
  [[nodiscard]] int lost_of_group(std::uintptr_t group) const REQUIRES(mutex_);

  mutable Mutex mutex_;
  Condition thread_is_free_;
  std::vector<Worker*> idle_
      GUARDED_BY(mutex_);  ///< the last is the next to be used; the only one is the reserve
  bool keeps_reserve_ GUARDED_BY(mutex_) = false;
  int threads_ GUARDED_BY(mutex_) = 0;  ///< lost ones too
  int lost_ GUARDED_BY(mutex_) = 0;
  std::map<Payer, int> lost_of_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
