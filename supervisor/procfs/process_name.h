// The name of a process, for a log line.
#pragma once

#include <sys/types.h>

#include <string>

namespace shmvisor {

/// /proc/PID/comm, with '?' for what is not printable: it is the process's own word, prctl(2)
/// PR_SET_NAME, and shall be nothing that a terminal obeys. "unknown" where it cannot be read.
std::string process_name(pid_t pid);

}  // namespace shmvisor
