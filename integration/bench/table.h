// The result of a session as a table of text. Thread rule: no shared state.
#pragma once

#include <ostream>

#include "integration/bench/session.h"

namespace shmvisor {

void print_table(const Session& session, std::ostream& out);

}  // namespace shmvisor
