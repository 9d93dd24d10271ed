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
// Bounds: kMost threads in all, lost ones included. Who gives its thread up for lost must take care
// that not all are (Census). Idle threads: two stay.
//
// Errors: EAGAIN where no thread can be had in time. Thread rule: any thread.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <vector>

#include "policy/base/result.h"

namespace shmvisor {

class LosableThreads {
 public:
  static constexpr int kMost = 128;
  static constexpr int kMostIdle = 2;

  /// The process's only set, which is never destroyed: a lost thread may come back at any time.
  static LosableThreads& all();

  /// Runs `task` in one of them. It owns all that it uses, and lets no exception out.
  Result<void> run(std::function<void()> task, std::chrono::milliseconds patience);

 private:
  struct Worker {
    std::condition_variable task_came;
    std::function<void()> task;
    pid_t tid = 0;  ///< 0: it has not begun yet
    int cpu = -1;   ///< that it may run on alone; -1: any
  };

  LosableThreads();
  void work(Worker& self) noexcept;
  /// mutex_ held. Null where none can be had.
  Worker* take_worker();
  static void move_here(Worker& worker);

  const cpu_set_t cpus_;  ///< that all threads may run on
  std::mutex mutex_;
  std::condition_variable thread_is_free_;
  std::vector<Worker*> idle_;  ///< the last is the next to be used
  int threads_ = 0;
};

}  // namespace shmvisor
