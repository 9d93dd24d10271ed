// ParentWatch: tells when the process that is our parent has ended.
//
// A pidfd watches the process; PR_SET_PDEATHSIG of prctl(2) would watch the thread that started us.
// Where no pidfd of the parent can be opened (it lives outside of our pid namespace, or
// pidfd_open(2) is forbidden) PR_SET_PDEATHSIG is used, and SIGKILL ends us.
//
// Ownership: a descriptor. Thread rule: made by the main thread.
#pragma once

#include <sys/types.h>

#include "policy/base/unique_fd.h"

namespace shmvisor {

class ParentWatch {
 public:
  ParentWatch();
  /// That of another program of this process: its descriptor, invalid where the kernel is to kill
  /// us, and its parent.
  ParentWatch(UniqueFd pidfd, pid_t parent);

  /// Readable when the parent has ended; -1 where the kernel kills us then.
  [[nodiscard]] int fd() const { return pidfd_.get(); }
  /// As getppid(2) tells it.
  [[nodiscard]] pid_t parent() const { return parent_; }

 private:
  void have_kernel_kill_us() const;

  UniqueFd pidfd_;
  pid_t parent_;
};

}  // namespace shmvisor
