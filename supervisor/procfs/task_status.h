// TaskStatus: what /proc/TID/status says of a thread, proc(5).
//
// Ids and pids are as seen in our own user and pid namespace. Costs 14 µs. A later thread may have
// taken over the tid: PendingCall::alive() afterwards tells whether it still is the caller's.
// Errors: ESRCH when the thread is gone, EACCES where /proc hides it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "policy/base/result.h"

namespace shmvisor {

struct TaskStatus {
  char state =
      '?';  ///< as in /proc/TID/stat, which keeps its reader while the process is in an exec
  pid_t tgid = 0;
  pid_t ppid = 0;
  pid_t tracer_pid = 0;
  uid_t uid = 0;
  uid_t euid = 0;
  gid_t egid = 0;
  gid_t fsgid = 0;
  std::vector<gid_t> groups;
  std::uint64_t effective_capabilities = 0;
  std::uint64_t seccomp_filters = 0;
  // Bit n - 1 is signal n.
  std::uint64_t pending_signals = 0;  ///< of the thread, not of its process
  std::uint64_t blocked_signals = 0;
  std::uint64_t caught_signals = 0;
  int descriptor_table_size = 0;  ///< descriptors that fit without growing the table

  static Result<TaskStatus> read(pid_t tid);
};

}  // namespace shmvisor
