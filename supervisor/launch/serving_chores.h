// ServingChores: for a shmvisor that serves its command's calls itself, and perhaps those of others
// that joined: removed segments go, namespaces that are over are forgotten, and who wants to join
// is heard.
//
// Ownership: borrows all. Thread rule: the main thread.
#pragma once

#include <chrono>

#include "emulation/shm/segment_files.h"
#include "supervisor/join/joined_commands.h"
#include "supervisor/launch/chores.h"
#include "supervisor/memory/release_watch.h"
#include "supervisor/namespaces/ipc_namespaces.h"
#include "supervisor/notify/listener.h"
#include "supervisor/tasks/background_task.h"

namespace shmvisor {

class ServingChores : public Chores {
 public:
  struct Charges {
    Listener& listener;
    SegmentFiles& files;
    ReleaseWatch& release_watch;
    IpcNamespaces& namespaces;
    JoinedCommands* joined = nullptr;  ///< none: nobody may join
  };

  explicit ServingChores(const Charges& charges) : charges_(charges) {}

  void append_waiting(std::vector<pollfd>& waiting) const override;
  [[nodiscard]] int timeout_ms() const override;
  void turn() override;
  [[nodiscard]] bool all_gone() const override;

  /// Of what goes on beside the main loop. False where it has not ended within a second: the
  /// process must then end without destroying what it uses.
  bool wait_for_end();

 private:
  void turn_once();
  void sweep_if_due();

  const Charges charges_;
  BackgroundTask sweeping_;
  std::chrono::steady_clock::time_point next_sweep_;
  /// The command's own listener.
  bool ended_ = false;
};

}  // namespace shmvisor
