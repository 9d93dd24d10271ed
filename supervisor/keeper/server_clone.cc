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

}  // namespace

Result<pid_t> clone_server() {
  const pid_t keeper = ::getpid();
  pid_t* const tid = place_of_tid();
  const unsigned long flags =
      CLONE_FILES | SIGCHLD | (tid != nullptr ? CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID : 0UL);
  // Architectures differ in which of the last two the child's number is; the other one is ignored.
  const long pid = ::syscall(SYS_clone, flags, nullptr, nullptr, tid, tid);
  if (pid < 0) return Errno::current();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (::getppid() != keeper) ::_exit(1);  // it ended before
    ::prctl(PR_SET_NAME, "shmvisor-server", 0, 0, 0);
  }
  return static_cast<pid_t>(pid);
}

}  // namespace shmvisor
