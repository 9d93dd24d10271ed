// Reading files of /proc/PID whole.
#pragma once

#include <sys/types.h>

#include <string>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

/// "/proc/PID/NAME".
std::string proc_path(pid_t pid, const char* name);
/// ESRCH where the process is gone; otherwise what open(2) says.
Result<UniqueFd> open_proc_file(pid_t pid, const char* name);
Result<std::string> read_proc_file(pid_t pid, const char* name);

}  // namespace shmvisor
