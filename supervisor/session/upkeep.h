// Upkeep: the work of the main loop for its sessions that no call asks for. It frees removed
// segments that are no longer mapped, and forgets IPC namespaces that have ended.
//
// Released segments are found by inotify(7), or once a second while a session needs_settling(). The
// time that this takes in the loop is bounded. A BackgroundTask sweeps namespaces, since a process
// with many descriptors makes a sweep long. It does so once a second, and soon after a thread has
// left a namespace, since the kernel drops a namespace with its last thread.
//
// Ownership: borrows the loop; shares the resources. Holds a session only while working on it, so
// that the session ends with the processes that it serves. Thread rule: the main thread, in the
// loop.
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
  /// Between sweeps for namespaces that threads have left: a thread may leave one all the time.
  static constexpr std::chrono::milliseconds kBetweenSweeps{100};

  Upkeep(EventLoop& loop, std::shared_ptr<SessionResources> resources);

  /// Adds a session. To be called before any call is served from the session.
  void add(const std::shared_ptr<Session>& session);

  /// Ends the background tasks. False if that takes longer: see end_process.h.
  bool wait_for_end(std::chrono::milliseconds bound);

 private:
  using Sessions = std::vector<std::shared_ptr<Session>>;

  /// The sessions that have not ended.
  Sessions sessions();
  /// Frees segments that are no longer mapped, within the time that the loop has for that. False if
  /// some sessions are left; the next call begins with these.
  bool settle(const Sessions& some);
  void see_releases();
  void see_need();
  void look();
  void expect_look();
  /// Starts a sweep beside the loop. While another sweep goes on none is started; the next look
  /// makes up for that.
  void sweep(Sessions some);
  void sweep_left_ones();

  const std::shared_ptr<SessionResources> resources_;
  std::vector<std::weak_ptr<Session>> sessions_;
  BackgroundTask sweeping_;
  const EventLoop::Source some_released_;
  EventLoop::Timer look_again_;  ///< while a session needs looks
  EventLoop::Timer go_on_;       ///< with what one look left undone
  EventLoop::Timer sweep_soon_;  ///< when a thread has left a namespace
  EventLoop::Time swept_at_;
  const Nudge need_begins_;
};

}  // namespace shmvisor
