// next_server(): the connection to a run that goes on by another process, where the one that served
// died (`run --keeper`).
//
// Errors: a Problem where it goes on, as far as can be told, and does not answer. Thread rule: the
// main thread.
#pragma once

#include <optional>

#include "supervisor/client/run_connection.h"

namespace shmvisor::client {

/// `run`: one whose connection has ended. Nothing where the run has ended too, or cannot be told
/// from one that has. A Problem where the process that served lives: it has dropped us.
Result<std::optional<RunConnection>, Problem> next_server(const RunConnection& run);

}  // namespace shmvisor::client
