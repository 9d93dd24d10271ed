// The user who pays for a thread that is lost in a process (LosableThreads).
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "supervisor/tasks/losable_threads.h"

namespace shmvisor {

/// The effective user of the process, in that group. Reads /proc, and waits for no process.
[[nodiscard]] LosableThreads::Payer payer_of(std::uintptr_t group, pid_t pid);

}  // namespace shmvisor
