// Asks a run for what its reply may have no room for: registries, processes and counters come in
// parts there (PROTOCOL.md, `after`).
//
// Errors: a Problem. Thread rule: one thread.
#pragma once

#include <functional>

#include "supervisor/client/run_connection.h"

namespace shmvisor::client {

/// Each part of the answer to `request` ("registries") goes to `take`. Has a Problem where parts do
/// not come to an end: one has nothing in its `list` ("registries") and says that more follow, or
/// goes on at a place that is not behind the last one, or they are more than 256.
Result<void, Problem> ask_in_parts(RunConnection& run, const char* request, const char* list,
                                   const std::function<void(Json&)>& take);

}  // namespace shmvisor::client
