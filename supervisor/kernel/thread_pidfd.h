// A descriptor of one thread: pidfd_open(2) with PIDFD_THREAD, since Linux 6.9.
//
// Errors: ESRCH where there is no such thread; EINVAL where the kernel has no such descriptors.
// Thread rule: any thread.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/kernel/uapi.h"

namespace shmvisor {

inline Result<UniqueFd> open_thread_pidfd(pid_t tid) {
  const auto open = [](pid_t thread) {
    return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, thread, unsigned{PIDFD_THREAD})));
  };
  UniqueFd pidfd = open(tid);
  if (pidfd.valid()) return pidfd;
  const Errno error = Errno::current();
  if (error != Errno(EINVAL)) return error;
  // Up to Linux 6.15 also of a thread that is gone, while its number is still a group's or a
  // session's.
  if (open(::gettid()).valid()) return Errno(ESRCH);
  return errno == EINVAL ? error : Errno::current();
}

}  // namespace shmvisor
