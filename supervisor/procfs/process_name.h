// The name of a process, for a log line.
#pragma once

#include <sys/types.h>

#include <string>

namespace shmvisor {

/// /proc/PID/comm, with '?' for each byte that is not printable: the process chooses its name
/// (prctl(2), PR_SET_NAME), which must not contain terminal escapes. "unknown" where it cannot be
/// read.
std::string process_name(pid_t pid);

}  // namespace shmvisor
