// What a supervisor costs while nobody calls it: memory and wake-ups, as /proc tells of the process
// that the column's prefix is. PSS, the proportional set size, is proc(5)'s, of smaps_rollup.
//
// Errors: an Outcome without a value says why; natively there is no supervisor.
#pragma once

#include "integration/bench/outcome.h"
#include "integration/bench/workload.h"

namespace shmvisor {

/// Bytes, with one segment made and attached.
Outcome idle_pss(const Placement& placement);
/// Bytes that each further segment adds, besides its own pages.
Outcome pss_per_segment(const Placement& placement);
/// Context switches of all its threads, in a second.
Outcome idle_wake_ups(const Placement& placement);

}  // namespace shmvisor
