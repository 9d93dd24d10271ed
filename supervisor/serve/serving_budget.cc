#include "supervisor/serve/serving_budget.h"

#include <new>

#include "policy/limits/fair_share.h"

namespace shmvisor {

void ServingBudget::Waiter::withdraw() {
  const MutexLock lock(budget_.mutex_);
  if (node_.empty()) node_.splice(node_.end(), budget_.waiters_, place_);
}

bool ServingBudget::take(const Payer& payer, Waiter& refused) noexcept {
  const MutexLock lock(mutex_);
  if (may_have_one_more(payer)) {
    try {
      ++served_of_[payer];
      ++served_;
      return true;
    } catch (const std::bad_alloc&) {  // as if it were full
    }
  }
  let_wait(refused);
  return false;
}

bool ServingBudget::has_room(const Payer& payer, Waiter& refused) noexcept {
  const MutexLock lock(mutex_);
  if (may_have_one_more(payer)) return true;
  let_wait(refused);
  return false;
}

void ServingBudget::give_back(const Payer& payer) {
  const MutexLock lock(mutex_);
  --served_;
  const auto known = served_of_.find(payer);
  if (--known->second == 0) served_of_.erase(known);
  while (!waiters_.empty()) {
    Waiter& waiter = *waiters_.front();
    waiter.node_.splice(waiter.node_.end(), waiters_, waiters_.begin());
    waiter.told_();
  }
}

bool ServingBudget::may_have_one_more(const Payer& payer) const {
  const auto known = served_of_.find(payer);
  const int its_own = known == served_of_.end() ? 0 : known->second;
  return within_fair_share(its_own, most_at_once_ - served_);
}

void ServingBudget::let_wait(Waiter& refused) {
  if (!refused.node_.empty()) waiters_.splice(waiters_.end(), refused.node_);
}

}  // namespace shmvisor
