// LosableThreads: threads for work that a process of somebody else's may hold up for ever.
//
// Opening /proc/PID/maps waits for exec_update_lock, asking it for mmap_lock: both are the other
// process's, which may be in the middle of an exec or an mmap that never ends. No signal but a
// fatal one ends such a wait, and that would end us. So it is done in a thread that can be lost,
// while whoever asked waits with a bound of its own. A lost thread comes back when the process goes
// on or ends.
//
// Bounds: kMost threads in all, lost ones included. Who gives its thread up for lost must take care
// that not all are (Census). Idle threads: two stay.
//
// Errors: EAGAIN where no thread can be had in time. Thread rule: any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>

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
  using Tasks = std::list<std::function<void()>>;

  LosableThreads() = default;
  void work() noexcept;
  /// mutex_ held.
  bool add_thread();

  std::mutex mutex_;
  std::condition_variable task_came_;
  std::condition_variable thread_is_free_;
  Tasks tasks_;
  int threads_ = 0;
  int idle_ = 0;  ///< less those that a task in tasks_ is for
};

}  // namespace shmvisor
