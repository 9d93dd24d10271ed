// ProcessStat: what /proc/PID/stat says of a process, as far as we need it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "policy/base/result.h"

namespace shmvisor {

struct ProcessStat {
  char state = '?';  ///< 'R', 'S', 'D' and so on, proc(5)
  pid_t ppid = 0;
  std::uint64_t started_ticks = 0;  ///< after the machine; tells processes of one pid apart
  std::string memory;               ///< the fields that belong to the address space

  /// ESRCH where the process is gone. `pid` may be a tid.
  static Result<ProcessStat> read(pid_t pid);
};

}  // namespace shmvisor
