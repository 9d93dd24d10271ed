// OrphanCleanup: searches all sessions for orphans (OrphanSearch) once a second, beside the loop;
// this is what CleanupMode::kOrphaned does.
//
// Ownership: borrows the loop. It may be destroyed once wait_for_end() has succeeded. Thread rule:
// the loop's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "supervisor/loop/event_loop.h"
#include "supervisor/session/orphan_search.h"
#include "supervisor/session/session.h"
#include "supervisor/tasks/background_task.h"

namespace shmvisor {

class OrphanCleanup {
 public:
  static constexpr std::chrono::milliseconds kBetweenLooks{1000};

  using Sessions = std::vector<std::shared_ptr<Session>>;

  /// `sessions`: returns the sessions that exist now.
  OrphanCleanup(EventLoop& loop, std::function<Sessions()> sessions);

  /// Begins no further search. False if the running search takes longer: see end_process.h.
  bool wait_for_end(std::chrono::milliseconds bound);

 private:
  void look();

  const std::function<Sessions()> sessions_;
  /// By the number of the session. The running task has them, or the next task will.
  const std::shared_ptr<std::map<std::uint32_t, OrphanSearch>> searches_ =
      std::make_shared<std::map<std::uint32_t, OrphanSearch>>();
  BackgroundTask looking_;
  EventLoop::Timer look_again_;
};

}  // namespace shmvisor
