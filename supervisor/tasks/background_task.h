// BackgroundTask: work for a main loop that takes as long as others like; one at a time, in a
// thread that comes for it and goes.
//
// Ownership: the task owns or outlives-with-us what it uses: whoever destroys that first waits for
// the end, or ends the process without destroying it. Thread rule: start() and wait_for_end() from
// one thread.
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
  /// EBUSY while the last one runs, EAGAIN where no thread can be had. No exception leaves the
  /// task.
  Result<void> start(std::function<void()> task);
  /// False where it has not ended by then.
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
