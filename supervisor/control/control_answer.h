// What is answered to a client's request: one line of JSON (PROTOCOL.md),
// and sometimes a descriptor.
//
// Thread rule: any thread but a main loop: to count attaches takes up to AttachCounter::kMostTime.
// No lock is held while /proc is read.
#pragma once

#include <vector>

#include "supervisor/control/contents_answer.h"
#include "supervisor/control/control_request.h"
#include "supervisor/control/named_registry.h"

namespace shmvisor {

/// `client`: what the client that asks has allocated. May throw std::bad_alloc.
[[nodiscard]] ControlAnswer answer_control_request(const ControlRequest& request,
                                                   const std::vector<NamedSession>& sessions,
                                                   ClientLoad& client);

}  // namespace shmvisor
