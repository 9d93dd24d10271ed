// ServingShares: what bounds that which callers make us keep or do, of all listeners of this
// process.
//
// Ownership: borrows all. Thread rule: a plain value.
#pragma once

#include <cstddef>

#include "supervisor/credentials/thread_identity.h"
#include "supervisor/resources/descriptor_share.h"
#include "supervisor/serve/serving_budget.h"

namespace shmvisor {

struct ServingShares {
  DescriptorShare* descriptors = nullptr;  ///< null: descriptors are not counted
  ServingBudget* budget = nullptr;         ///< null: each server has one of its own
  /// Callers of one listener that are remembered; each costs a descriptor.
  std::size_t most_remembered = ThreadIdentities::kMost;
};

}  // namespace shmvisor
