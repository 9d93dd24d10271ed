// The answer to a request for a report (PROTOCOL.md): what calls added up to, and what is left.
//
// Thread rule: as control_answer.h.
#pragma once

#include <string>
#include <vector>

#include "supervisor/control/named_registry.h"

namespace shmvisor {

/// Segments of one registry that are listed as left.
inline constexpr std::size_t kMostLeftInAReport = 256;

/// One line. May throw std::bad_alloc.
[[nodiscard]] std::string answer_report(const std::vector<NamedSession>& sessions);

}  // namespace shmvisor
