// What is answered to a client that has a segment taken out of processes.
//
// Thread rule: any thread but a main loop; waits for kMostTime at most (forced_detach.h).
#pragma once

#include <string>
#include <vector>

#include "supervisor/control/control_request.h"
#include "supervisor/control/named_registry.h"

namespace shmvisor {

/// May throw std::bad_alloc.
[[nodiscard]] std::string answer_detach(const DetachSegment& request,
                                        const std::vector<NamedSession>& sessions);

}  // namespace shmvisor
