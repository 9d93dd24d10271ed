// What is answered to Reload, once the configuration was read again.
//
// Thread rule: any thread.
#pragma once

#include <string>

#include "supervisor/session/steering.h"

namespace shmvisor {

/// A line. May throw std::bad_alloc.
[[nodiscard]] std::string answer_reload(const SteeringUpdate& update);

}  // namespace shmvisor
