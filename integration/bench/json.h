// The result of a session as JSON: the machine, all samples, medians, quartiles, ratios and goals.
// Times are in nanoseconds, sizes in bytes, rates for a second. Thread rule: no shared state.
#pragma once

#include <ostream>

#include "integration/bench/machine.h"
#include "integration/bench/session.h"

namespace shmvisor {

void print_json(const Session& session, const Facts& facts, std::ostream& out);

}  // namespace shmvisor
