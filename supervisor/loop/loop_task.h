// LoopTask: work beside an event loop, one at a time, whose outcome the loop takes over.
//
// The outcome is taken after the work has counted as ended, so that the loop may begin the next one
// at once, also while it takes the outcome.
//
// Errors: work that throws has no outcome, which is taken all the same: for want of memory, most
// likely. Where taking throws, the loop calls again, as EventLoop says, with what is left of the
// outcome. Ownership: what the work uses must live until wait_for_end() has succeeded; what it owns
// is destroyed before it counts as ended. Borrows the loop. Thread rule: the loop's thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "supervisor/loop/event_loop.h"
#include "supervisor/loop/nudge.h"
#include "supervisor/tasks/background_task.h"

namespace shmvisor {

template <typename Outcome>
class LoopTask {
 public:
  /// Gets nothing where the work threw.
  using Take = std::function<void(std::optional<Outcome>&)>;

  LoopTask(EventLoop& loop, Take take)
      : take_(std::move(take)), ended_(loop, [this] { hand_over(); }) {}

  /// Whether outcomes can be handed over at all. Precondition of begin().
  [[nodiscard]] bool valid() const { return ended_.valid(); }
  /// Whether an outcome is still to be taken.
  [[nodiscard]] bool under_way() const { return outcome_ != nullptr; }
  /// EAGAIN where no thread can be created. Precondition: none is under way.
  Result<void> begin(std::function<Outcome()> work) {
    auto outcome = std::make_shared<std::optional<Outcome>>();
    auto started =
        task_.start([outcome, work = std::move(work)] { *outcome = work(); }, ended_.nudger());
    if (started) outcome_ = std::move(outcome);
    return started;
  }
  /// False where the work has not ended by then. Nothing is taken any more unless the loop turns.
  bool wait_for_end(std::chrono::milliseconds bound) { return task_.wait_for_end(bound); }

 private:
  void hand_over() {
    if (outcome_ == nullptr || task_.running()) return;
    auto outcome = std::exchange(outcome_, nullptr);
    try {
      take_(*outcome);
    } catch (...) {
      if (outcome_ == nullptr) outcome_.swap(outcome);
      throw;
    }
  }

  const Take take_;
  /// The work's until it has ended.
  std::shared_ptr<std::optional<Outcome>> outcome_;
  BackgroundTask task_;
  const Nudge ended_;
};

}  // namespace shmvisor
