// Upkeep: what the main loop does for its sessions without a call: frees removed segments that are
// no longer mapped, and forgets IPC namespaces that have ended.
//
// Released segments are found by inotify(7), or once a second while a session needs_settling(). The
// time that this takes in the loop is bounded. Namespaces are swept by a BackgroundTask, since a
// process with many descriptors makes a sweep long: once a second, and soon after a thread has left
// one, since the kernel drops a namespace with its last thread.
//
// Ownership: borrows the loop; shares the resources. Holds a session only while it works on it, so
// that a session ends with the processes that it serves. Thread rule: the main thread, in the loop.
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
  /// Between sweeps for namespaces that threads have left, which some may do all the time.
  static constexpr std::chrono::milliseconds kBetweenSweeps{100};

  Upkeep(EventLoop& loop, std::shared_ptr<SessionResources> resources);

  /// Takes the session in. Call it before anything is served from the session.
  void add(const std::shared_ptr<Session>& session);

  /// Ends the background tasks. False where that takes longer: see end_process.h.
  bool wait_for_end(std::chrono::milliseconds bound);

 private:
  using Sessions = std::vector<std::shared_ptr<Session>>;

  /// The sessions that have not ended.
  Sessions sessions();
  /// Frees segments that are no longer mapped, within the time that the loop has for it. False
  /// where some are left; the next call begins with those.
  bool settle(const Sessions& some);
  void see_releases();
  void see_need();
  void look();
  void expect_look();
  /// Beside the loop. While another sweep goes on there is none; the next look makes up for that.
  void sweep(Sessions some);
  void sweep_left_ones();

  const std::shared_ptr<SessionResources> resources_;
  std::vector<std::weak_ptr<Session>> sessions_;
  BackgroundTask sweeping_;
  const EventLoop::Source some_released_;
  EventLoop::Timer look_again_;  ///< while a session needs it
  EventLoop::Timer go_on_;       ///< with what one look left undone
  EventLoop::Timer sweep_soon_;  ///< when a thread has left a namespace
  EventLoop::Time swept_at_;
  const Nudge need_begins_;
};

}  // namespace shmvisor
