// run_pid(): the process by which a run is known, and which lives as long as the run: the keeper,
// or this process where there is none. What outlives a server is not to name that.
//
// Thread rule: set_run_pid() before there are threads; run_pid() on any thread.
#pragma once

#include <sys/types.h>
#include <unistd.h>

namespace shmvisor {

inline pid_t kept_run_pid = 0;

/// In a keeper, before it has servers.
inline void set_run_pid(pid_t keeper) { kept_run_pid = keeper; }
[[nodiscard]] inline pid_t run_pid() { return kept_run_pid != 0 ? kept_run_pid : ::getpid(); }

}  // namespace shmvisor
