// CallFollower: follows the calls of a run while that is wanted, in a thread of its own, and hands
// them on in batches.
//
// What is not handed on yet is bounded: calls beyond kMostWaiting are counted as lost, with those
// that the run says it lost.
//
// Ownership: borrows the loop; what the thread uses is its own. Thread rule: the loop's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "policy/base/mutex.h"
#include "supervisor/client/run_connection.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/tasks/background_task.h"

namespace shmvisor::client {

class CallFollower {
 public:
  static constexpr std::size_t kMostWaiting = 500;
  static constexpr std::chrono::milliseconds kBetweenBatches{250};
  /// Before a connection that failed is made again.
  static constexpr std::chrono::seconds kPause{2};

  struct Batch {
    std::vector<Json> calls;  ///< "time", "line" (as strace has it), "failed", "refused"
    std::uint64_t lost = 0;
  };
  using Got = std::function<void(const Batch&)>;

  /// `path`: of the run's socket.
  CallFollower(EventLoop& loop, std::string path, Got got);

  void follow(bool wanted);
  /// False where the thread takes too long to end: then the process must end without destroying
  /// anything.
  bool stop();

 private:
  /// The thread's.
  struct Work {
    void follow(const std::string& path);
    void give_up();
    void take(const Json& record);

    Mutex mutex;
    bool given_up GUARDED_BY(mutex) = false;
    RunConnection* run GUARDED_BY(mutex) = nullptr;  ///< while it is followed
    Batch batch GUARDED_BY(mutex);
  };

  void tick();
  void begin();

  const std::string path_;
  const Got got_;
  bool wanted_ = false;
  std::shared_ptr<Work> work_;
  EventLoop::Time not_before_;
  BackgroundTask task_;
  EventLoop::Timer tick_;
};

}  // namespace shmvisor::client
