// Asks a run for what its reply may have no room for: registries, processes and counters come in
// parts (PROTOCOL.md, `after`).
//
// Errors: a Problem. Thread rule: one thread.
#pragma once

#include <functional>

#include "supervisor/client/run_connection.h"

namespace shmvisor::client {

/// Each part of the answer to `request` ("registries") goes to `take`.
inline Result<void, Problem> ask_in_parts(RunConnection& run, const char* request,
                                          const std::function<void(Json&)>& take) {
  for (Json after = ""; !after.is_null();) {
    auto reply = run.ask({{"request", request}, {"after", after}});
    if (!reply) return reply.error();
    take(*reply);
    after = reply->value("next", Json());
  }
  return {};
}

}  // namespace shmvisor::client
