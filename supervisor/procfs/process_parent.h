// The parent of a process by PIDFD_GET_INFO (Linux 6.13), in 2 µs for any process. /proc/PID/status
// has it too, but lists up to 65536 groups, which takes the kernel 20 ms and more.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <optional>

#include "supervisor/kernel/features.h"

namespace shmvisor {

/// The pid in our pid namespace; 0 where the parent is outside. Nothing where the kernel cannot
/// tell, or the process is gone.
[[nodiscard]] std::optional<pid_t> parent_by_pidfd(pid_t pid, KernelFeatures& features);

}  // namespace shmvisor
