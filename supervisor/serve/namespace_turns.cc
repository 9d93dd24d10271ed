#include "supervisor/serve/namespace_turns.h"

namespace shmvisor {

bool NamespaceTurns::enter(uid_t user, const seccomp_notif& call) {
  const MutexLock lock(mutex_);
  Account& account = accounts_[user];
  if (account.turns >= kMostOfUser && account.waiting.size() < kMostWaitingOfUser) {
    account.waiting.push_back(call);
    return false;
  }
  ++account.turns;
  return true;
}

std::optional<seccomp_notif> NamespaceTurns::leave(uid_t user) noexcept {
  const MutexLock lock(mutex_);
  const auto known = accounts_.find(user);
  Account& account = known->second;
  if (account.waiting.empty() || account.turns > kMostOfUser) {
    if (--account.turns == 0) accounts_.erase(known);
    return std::nullopt;
  }
  const seccomp_notif next = account.waiting.front();
  account.waiting.pop_front();
  return next;
}

}  // namespace shmvisor
