// Runs a worker (worker/worker.h) in a column. Errors: an Outcome without a value says why.
#pragma once

#include <string>
#include <vector>

#include "integration/bench/outcome.h"
#include "integration/bench/workload.h"

namespace shmvisor {

/// The command line of a worker in that column.
std::vector<std::string> worker_command(const Placement& placement, const std::string& name);

/// The number that the worker prints.
Outcome run_worker_in(const Placement& placement, const std::string& name);
/// All `count` numbers of one that prints several.
std::vector<Outcome> run_worker_for(const Placement& placement, const std::string& name,
                                    std::size_t count);

/// Start to end of `true` in that column; the worker that starts it is not in the column itself.
Outcome run_start_in(const Placement& placement);

/// Whether `name` is a program on the PATH.
bool on_path(const std::string& name);

}  // namespace shmvisor
