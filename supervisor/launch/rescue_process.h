// RescueProcess: where no other server follows one that died, it gives the callers that were held
// just then what they had, as the next server would (inject/left_injections.h). They would stay
// stopped otherwise. Their calls come again and fail with ENOSYS, as all others do then.
//
// It waits for the end of the keeper, in a session of its own, so that nobody means it who signals
// the command's process group. It has no descriptors, and a keeper that ends well ends it.
//
// Errors: where it cannot be had, such callers stay stopped. Ownership: borrows the state and the
// page. Thread rule: the main thread, while it is the only one.
#pragma once

#include <sys/types.h>

#include "supervisor/journal/state_file.h"
#include "supervisor/keeper/keeper_page.h"

namespace shmvisor {

class RescueProcess {
 public:
  RescueProcess(StateFile& state, const KeeperPage& page);
  RescueProcess(const RescueProcess&) = delete;
  RescueProcess& operator=(const RescueProcess&) = delete;
  ~RescueProcess();

  /// 0 where there is none.
  [[nodiscard]] pid_t pid() const { return pid_; }
  /// No server follows the one that died: it is to do its work, once we have ended.
  void leave_to_it() { pid_ = 0; }

 private:
  pid_t pid_ = 0;
};

}  // namespace shmvisor
