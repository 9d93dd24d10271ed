// The path of a thread's program, /proc/TID/exe.
//
// It is shown as the thread's mount namespace has it, without the " (deleted)" of a file that was
// replaced. Whoever can make a mount namespace can have any path there.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "supervisor/tasks/losable_threads.h"

namespace shmvisor {

/// Read in a thread that may be lost, within a second; nothing where that is not enough, or nothing
/// can be read. `payer`: who keeps that thread. Thread rule: any thread, without a lock.
[[nodiscard]] std::optional<std::string> program_path(pid_t tid,
                                                      const LosableThreads::Payer& payer);

}  // namespace shmvisor
