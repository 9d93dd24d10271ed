// An X server and x11perf together in a column: `x11perf -shmput500` shares images through System V
// shared memory. Errors: an Outcome without a value says why.
#pragma once

#include <string>
#include <vector>

#include "integration/bench/outcome.h"
#include "integration/bench/workload.h"

namespace shmvisor {

/// The command line of a client and of an X server of its own, whose files go into the folder.
std::vector<std::string> beside_x_server(const std::string& folder,
                                         const std::vector<std::string>& client);

/// Images of 500 by 500 put in a second.
Outcome run_shmput_in(const Placement& placement);

}  // namespace shmvisor
