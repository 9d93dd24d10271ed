// Upkeep: what goes on of itself in the sessions of a main loop: segments that nobody maps any more
// go, and IPC namespaces that are over are forgotten.
//
// The loop hears of released segments by inotify(7), and looks once a second while a session says
// that only looking tells. What a look takes of the loop's time is bounded; namespaces are looked
// for beside it, since whoever has many descriptors makes that long.
//
// Ownership: borrows the loop; shares the resources. Sessions are held while they are looked after,
// no longer, so that each ends with whom it serves. Thread rule: the main thread, in the loop.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "supervisor/loop/event_loop.h"
#include "supervisor/loop/nudge.h"
#include "supervisor/session/session.h"
#include "supervisor/tasks/background_task.h"

namespace shmvisor {

class Upkeep {
 public:
  static constexpr std::chrono::milliseconds kBetweenLooks{1000};

  Upkeep(EventLoop& loop, std::shared_ptr<SessionResources> resources);

  /// Looks after it from now on. Before anything is served from it.
  void add(const std::shared_ptr<Session>& session);

  /// Ends what goes on beside the loop. False where that takes longer: see end_process.h.
  bool wait_for_end(std::chrono::milliseconds bound);

 private:
  using Sessions = std::vector<std::shared_ptr<Session>>;

  /// Those that have not ended.
  Sessions sessions();
  /// Lets go of what nobody maps any more, for as long as the loop's time allows. False where some
  /// are left, which are the first the next time.
  bool settle(const Sessions& some);
  void see_releases();
  void look();
  void expect_look();

  const std::shared_ptr<SessionResources> resources_;
  std::vector<std::weak_ptr<Session>> sessions_;
  BackgroundTask sweeping_;
  const EventLoop::Source some_released_;
  EventLoop::Timer look_again_;  ///< while a session needs it
  EventLoop::Timer go_on_;       ///< with what one look left undone
  const Nudge need_begins_;
};

}  // namespace shmvisor
