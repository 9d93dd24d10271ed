#include "integration/bench/shared_run.h"

#include <utility>

namespace shmvisor {

Outcome SharedRun::take(const Placement& placement, std::size_t index) {
  auto& left = left_[placement.prefix];
  if (index >= left.size() || !left[index]) {
    left.clear();
    for (Outcome& outcome : run_(placement)) left.emplace_back(std::move(outcome));
  }
  if (index >= left.size()) return Outcome::none("no such number");
  return *std::exchange(left[index], std::nullopt);
}

}  // namespace shmvisor
