// The path of a thread's program, /proc/TID/exe.
//
// The path is that of the thread's mount namespace, without the " (deleted)" of a file that was
// replaced. A user who can make a mount namespace can have any path there.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "supervisor/tasks/losable_threads.h"

namespace shmvisor {

/// The link is read in a thread that may be lost, within a second; nothing if that is not enough,
/// or the link cannot be read. `payer`: whose share that thread counts in. Thread rule: any thread,
/// without a lock.
[[nodiscard]] std::optional<std::string> program_path(pid_t tid,
                                                      const LosableThreads::Payer& payer);

}  // namespace shmvisor
