#include "supervisor/launch/parent_watch.h"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

namespace shmvisor {

ParentWatch::ParentWatch() {
  const pid_t parent = ::getppid();
  if (parent > 0) pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, parent, 0)));
  if (pidfd_.valid() && ::getppid() == parent) return;
  pidfd_.reset();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  // It ended just now: our present parent did not start us.
  if (::getppid() != parent) ::raise(SIGKILL);
}

}  // namespace shmvisor
