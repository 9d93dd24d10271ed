// ServingUpkeep: for a shmvisor that serves its command's calls itself: removed segments go, and
// namespaces that are over are forgotten.
//
// Ownership: borrows all. Thread rule: the main thread, in the event loop.
#pragma once

#include "emulation/shm/segment_files.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/loop/nudge.h"
#include "supervisor/memory/release_watch.h"
#include "supervisor/namespaces/ipc_namespaces.h"
#include "supervisor/notify/listener.h"
#include "supervisor/tasks/background_task.h"

namespace shmvisor {

class ServingUpkeep {
 public:
  struct Charges {
    Listener& listener;  ///< of the command
    SegmentFiles& files;
    ReleaseWatch& release_watch;
    IpcNamespaces& namespaces;
  };

  ServingUpkeep(EventLoop& loop, const Charges& charges);

  /// Whether no process is left under the command's filter.
  [[nodiscard]] bool ended() const { return ended_; }

  /// Of what goes on beside the main loop. False where it has not ended within a second: the
  /// process must then end without destroying what it uses.
  bool wait_for_end();

 private:
  void settle();
  void look();
  void expect_look();

  const Charges charges_;
  BackgroundTask sweeping_;
  bool ended_ = false;
  EventLoop::Source listener_ended_;
  EventLoop::Source some_released_;
  EventLoop::Timer look_again_;  ///< while there is a need
  const Nudge need_begins_;
};

}  // namespace shmvisor
