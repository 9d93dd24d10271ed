// An X server and x11perf together in a column: `x11perf -shmput500` shares images through System V
// shared memory. Errors: an Outcome without a value says why.
#pragma once

#include "integration/bench/outcome.h"
#include "integration/bench/workload.h"

namespace shmvisor {

/// Images of 500 by 500 put in a second.
Outcome run_shmput_in(const Placement& placement);

}  // namespace shmvisor
