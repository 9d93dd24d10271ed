// Sampler: asks a run for all that is shown of it, again and again, in a thread of its own: the run
// may be stopped, and whoever reads the maps of a process waits for it.
//
// A connection that failed is replaced by a new one, at the same place: a run drops clients that
// are silent for long. It has ended where nobody listens there any more.
//
// Ownership: borrows the loop; what the thread uses is its own. Thread rule: the loop's thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "policy/base/mutex.h"
#include "supervisor/client/held_segments.h"
#include "supervisor/client/run_sample.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/loop/loop_task.h"

namespace shmvisor::client {

/// What is seen at one time.
struct RunView {
  RunSample sample;
  std::vector<Json> segments;  ///< each with the member "registry"; kMostSegments at most
  std::size_t segments_left_out = 0;
  /// Nothing where it was not asked for, or the run's pids are not ours.
  std::optional<std::vector<SupervisedProcess>> processes;
  std::chrono::steady_clock::time_point taken_at;
};

class Sampler {
 public:
  static constexpr std::size_t kMostSegments = 16384;
  /// For one view.
  static constexpr std::chrono::seconds kBound{15};

  using View = Result<RunView, Problem>;
  using Got = std::function<void(View)>;

  /// `got` runs in the loop's thread, once for each begin() that succeeds.
  Sampler(EventLoop& loop, RunConnection run, bool with_processes, Got got);

  [[nodiscard]] bool valid() const { return task_.valid(); }
  /// Nothing where a view is being taken already, or no thread can be had.
  void begin();
  /// Gives up what is under way. False where that takes too long: then the process must end
  /// without destroying anything.
  bool stop();

 private:
  /// The thread's.
  struct Work {
    Work(RunConnection its_run, bool processes_too)
        : run(std::move(its_run)), with_processes(processes_too) {}

    View take();
    View look();
    View look_once();
    Result<void, Problem> connect();

    Mutex mutex;  ///< held while the connection is replaced or interrupted
    RunConnection run;
    const bool with_processes;
  };

  const std::shared_ptr<Work> work_;
  const Got got_;
  LoopTask<View> task_;
};

}  // namespace shmvisor::client
