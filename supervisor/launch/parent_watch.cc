#include "supervisor/launch/parent_watch.h"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <utility>

namespace shmvisor {

ParentWatch::ParentWatch() : parent_(::getppid()) {
  if (parent_ > 0) pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, parent_, 0)));
  if (pidfd_.valid() && ::getppid() == parent_) return;
  pidfd_.reset();
  have_kernel_kill_us();
}

ParentWatch::ParentWatch(UniqueFd pidfd, pid_t parent) : pidfd_(std::move(pidfd)), parent_(parent) {
  // The kernel forgets it where a file gives its program capabilities.
  if (!pidfd_.valid()) have_kernel_kill_us();
}

void ParentWatch::have_kernel_kill_us() const {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  // It ended just now: our present parent did not start us.
  if (::getppid() != parent_) ::raise(SIGKILL);
}

}  // namespace shmvisor
