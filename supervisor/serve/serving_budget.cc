#include "supervisor/serve/serving_budget.h"

namespace shmvisor {

bool ServingBudget::take(const Payer& payer) {
  const std::lock_guard lock(mutex_);
  int& its_own = served_of_[payer];
  if (its_own >= most_at_once_ - served_) {
    if (its_own == 0) served_of_.erase(payer);
    return false;
  }
  ++its_own;
  ++served_;
  return true;
}

void ServingBudget::give_back(const Payer& payer) {
  const std::lock_guard lock(mutex_);
  --served_;
  const auto known = served_of_.find(payer);
  if (--known->second == 0) served_of_.erase(known);
}

}  // namespace shmvisor
