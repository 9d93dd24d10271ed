// Asks a run for what its reply may have no room for: registries, processes and counters come in
// parts there (PROTOCOL.md, `after`).
//
// Errors: a Problem. Thread rule: one thread.
#pragma once

#include <functional>

#include "supervisor/client/run_connection.h"

namespace shmvisor::client {

/// Each part of the answer to `request` ("registries") goes to `take`.
Result<void, Problem> ask_in_parts(RunConnection& run, const char* request,
                                   const std::function<void(Json&)>& take);

}  // namespace shmvisor::client
