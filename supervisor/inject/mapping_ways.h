// The choice among the ways to have a caller map a file, in this order:
// - MappedFromSite: a call that came from the call page, because its caller's call site leads
// there;
// - CompletedByCaller: a thread that has the call page, and may complete its call by itself;
// - PageMapping: a caller that has the call page; it gets the descriptor lent;
// - SteppedMapping: any caller; it gets the descriptor lent. Where another thread of the caller's
//   closes that meanwhile, it is lent anew;
// - the same in a caller of one thread whose table is full, while its limit is raised;
// - BorrowedTable: any other caller whose table is full, or whose threads close whatever is there.
//
// Thread rule: the thread that received the call.
#pragma once

#include "policy/base/result.h"
#include "supervisor/inject/caller_hold.h"
#include "supervisor/inject/page_runner.h"
#include "supervisor/inject/way_to_map.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

/// kAnswered or kCompletedByCaller. The caller is held afterwards, unless this is an error.
/// Errors: those of CallerHold and WayToMap.
Result<MapAttempt> map_in_caller(CallerHold& hold, const PageRunner& page, KernelFeatures& features,
                                 Mapping& mapping);

}  // namespace shmvisor
