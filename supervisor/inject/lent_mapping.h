// The end of a mapping whose descriptor was lent to the caller: that what it mapped was ours, and
// that the descriptor is closed.
//
// Thread rule: the thread that received the call.
#pragma once

#include <cstdint>

#include "policy/base/result.h"
#include "supervisor/inject/call_page.h"
#include "supervisor/inject/stopped_thread.h"
#include "supervisor/inject/way_to_map.h"

namespace shmvisor {

/// close(2), in the held caller. Errors: StoppedThread::call()'s.
Result<void> close_in(StoppedThread& thread, Abi abi, std::uint64_t number);

/// `progress`: what the caller has done of it. Of a descriptor that is not known to be ours nothing
/// is told but that: what it mapped may be somebody else's file, and is unmapped. ENOMEM where it
/// cannot be told; EACCES where mmap(2) cannot have answered that.
Result<MapAttempt> finish_lent_mapping(StoppedThread& thread, Abi abi, const Mapping& mapping,
                                       const CallPage::Progress& progress);

}  // namespace shmvisor
