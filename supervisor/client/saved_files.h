// Files that a registry is saved to (supervisor/saved): `shmvisor save FILE`, `shmvisor fsck FILE`.
//
// Errors: a Problem. Thread rule: the main thread.
#pragma once

#include <string>

#include "supervisor/client/run_connection.h"
#include "supervisor/client/show.h"

namespace shmvisor::client {

/// Writes a registry with the contents of its segments to the output file of the options, which is
/// the old one or the new one whatever happens.
Result<void, Problem> save_registry(RunConnection& run, const ShowOptions& options);
/// Prints what is in a file. A Problem where it is not whole.
Result<void, Problem> show_saved_file(const std::string& path, bool json);

}  // namespace shmvisor::client
