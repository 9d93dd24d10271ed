#include "supervisor/serve/namespace_turns.h"

#include <algorithm>

#include "policy/limits/fair_share.h"

namespace shmvisor {

bool NamespaceTurns::enter(uid_t user, const seccomp_notif& call) {
  const MutexLock lock(mutex_);
  Account& account = accounts_[user];
  if (account.turns >= kMostOfUser && account.waiting.size() < most_waiting_of_user_ &&
      within_fair_share(waiting_, room_())) {
    account.waiting.push_back(call);
    ++waiting_;
    return false;
  }
  ++account.turns;
  return true;
}

std::optional<seccomp_notif> NamespaceTurns::leave(uid_t user, Successor successor) noexcept {
  const MutexLock lock(mutex_);
  const auto known = accounts_.find(user);
  Account& account = known->second;
  if (!account.waiting.empty() && account.turns <= kMostOfUser &&
      successor == Successor::kThisThread) {
    return take_from(account);
  }
  if (--account.turns == 0 && account.waiting.empty()) accounts_.erase(known);
  return std::nullopt;
}

std::optional<NamespaceTurns::Next> NamespaceTurns::next() noexcept {
  const MutexLock lock(mutex_);
  const auto found = std::ranges::find_if(accounts_, is_next);
  if (found == accounts_.end()) return std::nullopt;
  ++found->second.turns;
  return Next{found->first, take_from(found->second)};
}

bool NamespaceTurns::has_next() const {
  const MutexLock lock(mutex_);
  return std::ranges::any_of(accounts_, is_next);
}

seccomp_notif NamespaceTurns::take_from(Account& account) {
  const seccomp_notif next = account.waiting.front();
  account.waiting.pop_front();
  --waiting_;
  return next;
}

}  // namespace shmvisor
