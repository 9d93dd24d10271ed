// SessionResources: what all sessions of this process share: the plan of its descriptors, the bound
// of calls in service, and those resources of the machine that cost a descriptor.
//
// Ownership: shared by the sessions; borrows the features, which outlive all sessions. Thread rule:
// made by the main thread, when RLIMIT_NOFILE does not change any more; its parts have rules of
// their own.
#pragma once

#include <memory>

#include "supervisor/kernel/features.h"
#include "supervisor/memory/machine.h"
#include "supervisor/resources/descriptor_plan.h"
#include "supervisor/resources/descriptor_share.h"
#include "supervisor/serve/call_ring.h"
#include "supervisor/serve/call_rules.h"
#include "supervisor/serve/call_tally.h"
#include "supervisor/serve/serving_budget.h"
#include "supervisor/session/steering.h"

namespace shmvisor {

struct SessionResources {
  explicit SessionResources(KernelFeatures& known_features)
      : features(known_features), machine(known_features) {}

  /// Takes over settings for later sessions. For existing sessions: Session::steer(). The main
  /// thread.
  void steer(const Steering& steering) noexcept {
    rules.replace(steering.rules);
    user_limits = steering.user_limits;
  }

  KernelFeatures& features;
  MachineResources machine;  ///< before the plan, which counts what is open
  const DescriptorPlan plan = DescriptorPlan::of_this_process();
  DescriptorPool descriptors{plan};
  ServingBudget budget{plan.calls_at_once};
  CallTally tally;
  CallRules rules;
  /// For sessions that are made from now on; null: none. Main thread.
  std::shared_ptr<const UserLimits> user_limits;
  CallRing calls;  ///< has no memory until a client follows calls
};

}  // namespace shmvisor
