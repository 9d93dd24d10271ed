#include "supervisor/serve/serving_budget.h"

namespace shmvisor {

bool ServingBudget::take(uid_t user) {
  const std::lock_guard lock(mutex_);
  const auto known = served_of_user_.find(user);
  const int its_own = known == served_of_user_.end() ? 0 : known->second;
  if (its_own >= most_at_once_ - served_) return false;
  ++served_;
  ++served_of_user_[user];
  return true;
}

void ServingBudget::take_anyway(uid_t user) {
  const std::lock_guard lock(mutex_);
  ++served_;
  ++served_of_user_[user];
}

void ServingBudget::give_back(uid_t user) {
  const std::lock_guard lock(mutex_);
  --served_;
  const auto known = served_of_user_.find(user);
  if (--known->second == 0) served_of_user_.erase(known);
}

}  // namespace shmvisor
