#include "supervisor/keeper/server_clone.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#ifndef PR_GET_TID_ADDRESS
#define PR_GET_TID_ADDRESS 40
#endif

namespace shmvisor {
namespace {

/// Where the C library keeps the number of this thread, which it gave to the kernel by
/// set_tid_address(2); null where the kernel does not tell (CONFIG_CHECKPOINT_RESTORE), or where
/// something else lies there. Nothing that we call depends on it.
pid_t* place_of_tid() {
  pid_t* place = nullptr;
  if (::prctl(PR_GET_TID_ADDRESS, &place, 0, 0, 0) != 0 || place == nullptr) return nullptr;
  return *place == ::gettid() ? place : nullptr;
}

Result<pid_t> clone_with(unsigned long flags) {
  pid_t* const tid = place_of_tid();
  if (tid != nullptr) flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
  // Architectures differ in which of the last two the child's number is; the other one is ignored.
  const long pid = ::syscall(SYS_clone, flags, nullptr, nullptr, tid, tid);
  if (pid < 0) return Errno::current();
  return static_cast<pid_t>(pid);
}

}  // namespace

Result<pid_t> clone_server() {
  const pid_t keeper = ::getpid();
  const auto pid = clone_with(CLONE_FILES | SIGCHLD);
  if (pid && *pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (::getppid() != keeper) ::_exit(1);  // it ended before
    ::prctl(PR_SET_NAME, "shmvisor-server", 0, 0, 0);
  }
  return pid;
}

Result<pid_t> clone_aside() { return clone_with(0); }

}  // namespace shmvisor
