// clone_server: makes another process out of this one, as fork(2) does, that shares its table of
// descriptors. What either of them opens or closes from then on, the other one has open or closed.
//
// Errors: those of clone(2). Thread rule: the process has one thread. The child has this thread
// alone, and in the C library's eyes that thread has its own number.
#pragma once

#include <sys/types.h>

#include "policy/base/result.h"

namespace shmvisor {

/// The child's pid; 0 in the child, which gets SIGKILL when the calling process ends.
[[nodiscard]] Result<pid_t> clone_server();

/// The same for a child with a table of its own, of whose end no signal tells, and which wait(2)
/// sees with __WALL alone.
[[nodiscard]] Result<pid_t> clone_aside();

}  // namespace shmvisor
