// CallEvent: one call that was answered, or a segment that was destroyed without a call, as a plain
// value that outlives both.
//
// Pids and uids are those that this process sees. Thread rule: a plain value.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>

#include "emulation/ipc/denial.h"
#include "emulation/shm/cleanup_observer.h"
#include "emulation/syscalls/decode.h"
#include "emulation/syscalls/shmctl_contents.h"
#include "supervisor/serve/recent_name.h"

namespace shmvisor {

struct CallEvent {
  std::chrono::system_clock::time_point answered_at;
  /// From when a thread of ours began with the call until the answer. 0 if no client followed then.
  std::chrono::nanoseconds took{0};
  pid_t pid = 0;
  pid_t tid = 0;
  uid_t euid = 0;
  CommandName command{};
  /// The number of the Session, and the registry's IPC namespace; 0: the registry that the session
  /// began with.
  std::uint32_t session = 0;
  std::uint64_t ipc_namespace = 0;
  bool decoded = false;  ///< whether `call` says anything
  int number = 0;        ///< of the system call
  ShmCall call;
  ShmctlContents contents;
  std::int64_t value = 0;  ///< the answer
  int shmid = -1;          ///< the segment that the call concerned, where that is known
  bool changed = false;    ///< whether the call changed the registry
  bool completed_by_caller = false;
  bool delivered = true;
  Denial denial;
  /// Of a segment that was destroyed without a call. Then only time, session and IPC namespace are
  /// set besides.
  CleanedSegment cleaned;
};

}  // namespace shmvisor
