// lasting_pid(): the process that the run or the agent is, whichever of its processes asks.
//
// A segment that we make ourselves has that process as its creator: as long as it lives, the
// segment is nobody's orphan. A server with a keeper ends before its run does.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

namespace shmvisor {

/// Ours; of a server with a keeper, the keeper's.
[[nodiscard]] pid_t lasting_pid();

}  // namespace shmvisor
