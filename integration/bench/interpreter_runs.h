// Programs in other languages that attach and detach again and again, each behind a column's
// prefix. Errors: an Outcome without a value says why.
#pragma once

#include "integration/bench/outcome.h"
#include "integration/bench/workload.h"

namespace shmvisor {

/// PHP's shm_attach() and shm_detach(); nanoseconds for both.
Outcome run_php_in(const Placement& placement);
/// Python's sysv_ipc.SharedMemory and its detach(); nanoseconds for both.
Outcome run_python_in(const Placement& placement);
/// A client of an X server that makes a segment for each image, has the server attach it, and gives
/// it up again; nanoseconds for each.
Outcome run_x11_images_in(const Placement& placement);

}  // namespace shmvisor
