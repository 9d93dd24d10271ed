// What is answered to a client's request: one line of JSON (PROTOCOL.md).
//
// Thread rule: any thread but a main loop: to count attaches takes up to AttachCounter::kMostTime.
// No lock is held while /proc is read.
#pragma once

#include <string>
#include <vector>

#include "supervisor/control/control_request.h"
#include "supervisor/control/named_registry.h"

namespace shmvisor {

/// May throw std::bad_alloc.
[[nodiscard]] std::string answer_control_request(const ControlRequest& request,
                                                 const std::vector<NamedSession>& sessions);

}  // namespace shmvisor
