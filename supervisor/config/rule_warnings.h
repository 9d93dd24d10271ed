// What is odd about the rules of a configuration, though each may stand as it is.
//
// Thread rule: a pure function.
#pragma once

#include "supervisor/config/configuration.h"

namespace shmvisor::config {

/// Rules that decide no call, since earlier ones decide all that they match: so a rule at the top
/// may be meant to switch the others off for a while. In their order, as many as are told.
[[nodiscard]] Problems warn_of_rules(const Configuration& configuration);

}  // namespace shmvisor::config
