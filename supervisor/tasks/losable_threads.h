// LosableThreads: threads for work that another process may block for ever.
//
// Opening /proc/PID/maps waits for the other process's exec_update_lock, reading it for its
// mmap_lock. That process may be in the middle of an exec or an mmap that never ends. Only a fatal
// signal ends such a wait, and that would end us. So such work runs in a thread that can be lost,
// while the asking thread waits with a bound. A lost thread comes back when the other process goes
// on or ends.
//
// The thread wakes on the CPU of the asking thread, which is about to sleep: a wake-up across CPUs
// takes several times as long as the task.
//
// Bounds: kMost threads that are not lost. A process is looked at only while its payer may lose one
// more thread. A group may lose another one while it has lost fewer than may still be lost; the
// same holds for a user within what its group may still lose. So a payer that loses all it can
// leaves a half to others. The first thread of each group is always within its share: at most
// kMostLost, one for each further group, and those lost in the same moment (kMost at worst) are
// lost. Two idle threads stay, and one in reserve.
//
// The reserve exists once keep_reserve() was called. Where a limit that we share with other
// processes lets no thread be created (pids.max, RLIMIT_NPROC), a count still has a thread. The
// reserve is used only then, or where there are kMost; it is replaced as soon as possible.
//
// Errors: EAGAIN where no thread is free in time. Thread rule: any thread.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "policy/base/mutex.h"
#include "policy/base/result.h"

namespace shmvisor {

class LosableThreads {
 public:
  static constexpr int kMost = 64;
  static constexpr int kMostLost = 96;
  static constexpr int kMostIdle = 3;  ///< the reserve too

  /// The owner of a process that keeps a thread.
  struct Payer {
    std::uintptr_t group = 0;  ///< of the processes that are served together: a unique number
    uid_t user = 0;            ///< of accountable_user.h

    friend auto operator<=>(const Payer&, const Payer&) = default;
  };
  /// Whether the group has lost so few threads that any user's process may be looked at.
  [[nodiscard]] bool may_lose_of_anybody(std::uintptr_t group) const;
  [[nodiscard]] bool may_lose(const Payer& payer) const;
  /// Counts a running thread as lost, until come_back().
  void lose(const Payer& payer);
  void come_back(const Payer& payer);

  /// The process's only set, which is never destroyed: a lost thread may come back at any time.
  static LosableThreads& all();

  /// From here on one thread is kept in reserve. May be called again.
  void keep_reserve();

  enum class Reserve : std::uint8_t { kMayUse, kIsForOthers };
  /// Runs `task` in one of these threads. `task` owns all that it uses, and must not throw.
  Result<void> run(std::function<void()> task, std::chrono::milliseconds patience,
                   Reserve reserve = Reserve::kMayUse);

 private:
  struct Worker {
    Condition task_came;
    std::function<void()> task;
    pid_t tid = 0;  ///< 0: it has not begun yet
    int cpu = -1;   ///< that it may run on alone; -1: any
  };
  /// Of its thread, of idle_, and of whoever wakes it.
  using WorkerPointer = std::shared_ptr<Worker>;

  LosableThreads();
  void work(const WorkerPointer& self) noexcept;
  /// Null where none can be had.
  WorkerPointer take_worker(Reserve reserve) REQUIRES(mutex_);
  /// Null where none can be made.
  WorkerPointer make_worker() REQUIRES(mutex_);
  void refill_reserve() REQUIRES(mutex_);
  static void move_here(Worker& worker);
  [[nodiscard]] int lost_of_group(std::uintptr_t group) const REQUIRES(mutex_);

  mutable Mutex mutex_;
  Condition thread_is_free_;
  std::vector<WorkerPointer> idle_
      GUARDED_BY(mutex_);  ///< the last is the next to be used; the only one is the reserve
  bool keeps_reserve_ GUARDED_BY(mutex_) = false;
  int threads_ GUARDED_BY(mutex_) = 0;  ///< lost ones too
  int lost_ GUARDED_BY(mutex_) = 0;
  std::map<Payer, int> lost_of_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
