// BackgroundTask: work for a main loop that may take as long as other processes like; one task at a
// time, each in a thread of its own.
//
// Ownership: what the task uses must live until the task ends. Before any of that is destroyed,
// wait_for_end() has to succeed; otherwise the process ends without destroying it. Thread rule:
// start() and wait_for_end() from one thread.
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
  /// EBUSY while the last task runs, EAGAIN where no thread can be created. `task` must not throw.
  Result<void> start(std::function<void()> task);
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
