// Exclusions: the differences between the kernel's shm and shmvisor's that cannot be removed.
//
// Each has a name, the reason, and a rule that excuses exactly those differences. Whatever no rule
// excuses is a divergence.
#pragma once

#include <span>
#include <string_view>

#include "integration/differential/creator_history.h"
#include "integration/differential/operation.h"
#include "integration/differential/stamp_history.h"
#include "integration/differential/transcript.h"

namespace shmvisor {

/// One field of one step that differs.
struct Difference {
  std::string_view field;
  std::string_view native;
  std::string_view supervised;
};

struct DifferenceContext {
  const Operation& operation;
  const Step& native;
  const Step& supervised;
  /// As it was before the operation.
  const StampHistory& history;
  const CreatorHistory& creators;
};

struct Exclusion {
  std::string_view name;
  std::string_view reason;
  bool (*excuses)(const Difference& difference, const DifferenceContext& context);
  /// Whether the two runs are in different states from then on: comparing ends with this step.
  bool ends = false;
  /// The first kernel that shows the difference, as 1000 * version + patch level; 0 for all.
  int since_kernel = 0;
};

[[nodiscard]] std::span<const Exclusion> exclusions();

}  // namespace shmvisor
