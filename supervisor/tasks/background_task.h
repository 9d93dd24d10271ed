// BackgroundTask: work for a main loop that may take as long as other processes like; one task at a
// time, each in a thread of its own.
//
// A main loop that is to take over what came of the work: LoopTask (loop/loop_task.h).
//
// Ownership: what the task uses must live until the task ends; what the task owns is destroyed
// before it counts as ended. Before any of what it uses is destroyed, wait_for_end() has to
// succeed; otherwise the process ends without destroying it. Thread rule: start() and
// wait_for_end() from one thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "policy/base/mutex.h"
#include "policy/base/result.h"

namespace shmvisor {

class BackgroundTask {
 public:
  [[nodiscard]] bool running() const;
  /// EBUSY while the last task runs, EAGAIN where no thread can be created. What `task` throws is
  /// logged. `told` is called in the task's thread after the end of the task, when another one can
  /// be started; it must own what it uses, and must not throw.
  Result<void> start(std::function<void()> task, std::function<void()> told = nullptr);
  /// False where the task has not ended by then.
  bool wait_for_end(std::chrono::milliseconds bound);

 private:
  struct State {
    Mutex mutex;
    Condition ended;
    bool running GUARDED_BY(mutex) = false;
  };
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace shmvisor
