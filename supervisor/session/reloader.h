// Reloader: reads the operator's configuration again when somebody asks for that, and puts it into
// effect: for signals and for clients alike, one reading after another, so that what was read last
// is in force.
//
// Nobody is served by a reading that began before it asked. Those who ask while one is under way
// share the next.
//
// Errors: a configuration with a problem changes nothing. Where memory runs out while a good one is
// put into effect, that is tried again until it is in force as a whole, and only then told.
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
  /// Counted from 1 on.
  using Reading = std::uint64_t;
  using Apply = std::function<void(const Steering&)>;
  using Told = std::function<void(Reading, const SteeringUpdate&)>;

  /// `apply` may throw std::bad_alloc, and is called again then.
  Reloader(EventLoop& loop, ReadSteering read, Apply apply);

  [[nodiscard]] bool valid() const { return task_.valid(); }
  /// `told`: after each reading; one call back for all who asked for it.
  void tell(Told told) { told_ = std::move(told); }
  /// The reading that will serve whoever asks now.
  Reading ask();
  /// False where a disk keeps the reading for longer.
  bool wait_for_end(std::chrono::milliseconds bound);

 private:
  void begin();
  void finish(std::optional<SteeringUpdate>& update);
  void conclude(const SteeringUpdate& update);

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
