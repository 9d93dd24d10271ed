// Counts of calls as a reply has them: of one registry (CallCounts) or of all (CallTally).
//
// Thread rule: any thread.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "supervisor/control/protocol.h"
#include "supervisor/serve/call_counts.h"
#include "supervisor/serve/call_log.h"

namespace shmvisor::control {

inline constexpr std::array kOperations = {ShmOperation::kShmget, ShmOperation::kShmat,
                                           ShmOperation::kShmdt, ShmOperation::kShmctl};

/// By the names of the calls.
template <typename Counts>
Json calls_of(const Counts& counts) {
  Json calls;
  for (const ShmOperation operation : kOperations) {
    const auto [count, errors] = counts.of(operation);
    calls[name_of(operation)] = {{"calls", count}, {"errors", errors}};
  }
  return calls;
}

/// By the words of the reasons; those that were none's reason are left out.
template <typename Counts>
Json refusals_of(const Counts& counts) {
  Json refusals = Json::object();
  for (std::size_t number = 1; number < CallCounts::kReasons; ++number) {
    const auto reason = static_cast<Denial::Reason>(number);
    const std::uint64_t count = counts.refusals(reason);
    if (count == 0) continue;
    // Several reasons have one word.
    Json& sum = refusals[name_of(reason)];
    sum = (sum.is_null() ? 0 : sum.template get<std::uint64_t>()) + count;
  }
  return refusals;
}

}  // namespace shmvisor::control
