// The result of a session as text, 100 characters wide: the machine, what was measured, the further
// columns, what could not be measured and why, and the goals. Thread rule: no shared state.
#pragma once

#include <ostream>

#include "integration/bench/machine.h"
#include "integration/bench/session.h"

namespace shmvisor {

void print_table(const Session& session, const Facts& facts, std::ostream& out);

}  // namespace shmvisor
