// SharedRun: one run of a program whose numbers belong to several workloads, because what it sets
// up takes longer than measuring.
//
// Each workload takes its number; a new run begins when one asks for a second time in that column,
// which it does in the next round.
// Errors: an Outcome without a value says why. Thread rule: one thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "integration/bench/outcome.h"
#include "integration/bench/workload.h"

namespace shmvisor {

class SharedRun {
 public:
  /// Always answers the same number of outcomes.
  using Run = std::function<std::vector<Outcome>(const Placement&)>;
  explicit SharedRun(Run run) : run_(std::move(run)) {}

  Outcome take(const Placement& placement, std::size_t index);

 private:
  Run run_;
  /// What is still to be taken, by column.
  std::map<std::vector<std::string>, std::vector<std::optional<Outcome>>> left_;
};

}  // namespace shmvisor
