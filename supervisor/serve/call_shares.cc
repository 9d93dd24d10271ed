#include "supervisor/serve/call_shares.h"

#include <algorithm>
#include <utility>

namespace shmvisor {

CallShares::Admission CallShares::arrive(uid_t user, const seccomp_notif& call,
                                         Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  Account& account = accounts_[user];
  // Those that wait already come first.
  if (account.aside.empty() && admit(user, account)) return Admission::kServe;
  if (account.aside.size() >= kMostAside) make_room(account);
  if (account.aside.size() >= kMostAside) return Admission::kRefused;
  account.aside.push_back({call, now});
  ++aside_;
  return now - account.aside.front().since >= kLongWait ? Admission::kStuck : Admission::kAside;
}

std::optional<CallShares::Next> CallShares::leave(uid_t user) {
  const std::lock_guard lock(mutex_);
  budget_.give_back({group_, user});
  --served_;
  const auto own = accounts_.find(user);
  --own->second.served;
  if (aside_ == 0) {
    if (own->second.served == 0) accounts_.erase(own);
    return std::nullopt;
  }
  const auto sooner = [](const auto& one, const auto& other) {
    if (one.second.aside.empty() != other.second.aside.empty()) return !one.second.aside.empty();
    return one.second.served < other.second.served;
  };
  const auto next = std::min_element(accounts_.begin(), accounts_.end(), sooner);
  std::optional<Next> call;
  if (admit(next->first, next->second)) {
    call = Next{next->first, next->second.aside.front().call};
    next->second.aside.pop_front();
    --aside_;
  }
  const auto empty = accounts_.find(user);
  if (empty->second.served == 0 && empty->second.aside.empty()) accounts_.erase(empty);
  return call;
}

void CallShares::limit_to(int most_at_once) {
  const std::lock_guard lock(mutex_);
  most_at_once_ = std::max(most_at_once, 1);
}

bool CallShares::admit(uid_t user, Account& account) {
  const int free = most_at_once_ - served_;
  if (account.served == 0) {
    if (free <= 0) return false;
    budget_.take_anyway({group_, user});
  } else if (account.served >= free || !budget_.take({group_, user})) {
    return false;
  }
  ++account.served;
  ++served_;
  return true;
}

void CallShares::make_room(Account& account) {
  // It takes as many system calls as calls wait: not for each call that is refused.
  if (account.refused_since_look++ % (kMostAside / 4) != 0) return;
  const std::size_t before = account.aside.size();
  std::erase_if(account.aside, [this](const Aside& one) { return !alive_(one.call); });
  aside_ -= before - account.aside.size();
}

}  // namespace shmvisor
