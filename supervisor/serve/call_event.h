// CallEvent: one call that was answered, or a segment that went without one, as a plain value that
// outlives it.
//
// Pids and uids are those that this process sees. Thread rule: a plain value.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>

#include "emulation/ipc/denial.h"
#include "emulation/shm/cleanup_observer.h"
#include "emulation/syscalls/decode.h"
#include "supervisor/serve/recent_name.h"

namespace shmvisor {

struct CallEvent {
  std::chrono::system_clock::time_point answered_at;
  /// From when a thread of ours began with it. 0 where nobody followed then.
  std::chrono::nanoseconds took{0};
  pid_t pid = 0;
  pid_t tid = 0;
  uid_t euid = 0;
  CommandName command{};
  /// Of Session, and the registry's IPC namespace; 0: the registry that the session began with.
  std::uint32_t session = 0;
  std::uint64_t ipc_namespace = 0;
  bool decoded = false;  ///< whether `call` says anything
  int number = 0;        ///< of the system call
  ShmCall call;
  std::int64_t value = 0;  ///< the answer
  int shmid = -1;          ///< of the segment that it concerned, where that is known
  bool changed = false;    ///< whether it changed the registry
  bool completed_by_caller = false;
  bool delivered = true;
  Denial denial;
  /// Where it went by itself: that is all, beside time, session and IPC namespace.
  CleanedSegment cleaned;
};

}  // namespace shmvisor
