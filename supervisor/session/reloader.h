// Reloader: reads the operator's configuration again when a signal or a client asks for that, and
// puts it into effect. Readings follow one another, so that the last one read is in force.
//
// A request is never answered by a reading that began before the request. All requests that come
// during a reading share the next reading.
//
// Errors: a configuration with a problem changes nothing. If memory runs out while a good one is
// put into effect, that is tried again until the configuration is in force as a whole, and only
// then told.
// Ownership: borrows the loop; `read` must own what it uses. It may be destroyed once
// wait_for_end() has succeeded. Thread rule: the loop's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

#include "supervisor/loop/event_loop.h"
#include "supervisor/loop/loop_task.h"
#include "supervisor/session/steering.h"

namespace shmvisor {

class Reloader {
 public:
  /// The number of a reading, counted from 1 on.
  using Reading = std::uint64_t;
  using Apply = std::function<void(const Steering&)>;
  using Told = std::function<void(Reading, const SteeringUpdate&)>;

  /// `apply` may throw std::bad_alloc, and is called again then.
  Reloader(EventLoop& loop, ReadSteering read, Apply apply);

  [[nodiscard]] bool valid() const { return task_.valid(); }
  /// `told` is called after each reading; once for all requests that share the reading.
  void tell(Told told) { told_ = std::move(told); }
  /// Asks for a reading. Returns the number of the one that will answer this request.
  Reading ask();
  /// Reads what an earlier process of ours had read, and waits until that is over, or for `bound`.
  /// The loop turns meanwhile, so nobody who is to find the configuration in force may be heard.
  /// Before tell().
  void read_at_once(std::chrono::milliseconds bound);
  /// False if a disk keeps the reading for longer.
  bool wait_for_end(std::chrono::milliseconds bound);

 private:
  void begin();
  void finish(std::optional<SteeringUpdate>& update);
  void conclude(const SteeringUpdate& update);

  EventLoop& loop_;
  const ReadSteering read_;
  const Apply apply_;
  Told told_;
  Reading done_ = 0;
  bool wanted_ = false;
  bool over_ = false;
  EventLoop::Timer begin_;
  LoopTask<SteeringUpdate> task_;
};

}  // namespace shmvisor
