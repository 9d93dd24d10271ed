// The answer to the request "counters" (PROTOCOL.md).
//
// Reads no file, so that it can be asked often. Thread rule: any thread.
#pragma once

#include <string>
#include <vector>

#include "supervisor/control/control_request.h"
#include "supervisor/control/named_registry.h"

namespace shmvisor {

/// A whole line. Forgets the counts of registries that have ended.
[[nodiscard]] std::string answer_counters(const Counters& request,
                                          const std::vector<NamedSession>& sessions);

}  // namespace shmvisor
