#include "supervisor/serve/call_shares.h"

#include <algorithm>
#include <utility>

namespace shmvisor {

CallShares::Admission CallShares::arrive(uid_t user, const seccomp_notif& call,
                                         std::optional<Clock::time_point> now) {
  const std::lock_guard lock(mutex_);
  Account& account = accounts_[user];
  // Those that wait already come first.
  if (account.aside.empty() && admit(user, account)) return Admission::kServe;
  if (account.aside.size() >= kMostAside) make_room(account);
  if (account.aside.size() >= kMostAside) return Admission::kRefused;
  const Clock::time_point since = now ? *now : Clock::now();
  account.aside.push_back({call, since});
  ++aside_;
  return since - account.aside.front().since >= kLongWait ? Admission::kStuck : Admission::kAside;
}

std::optional<CallShares::Next> CallShares::leave(uid_t user) {
  const std::lock_guard lock(mutex_);
  const auto account = accounts_.find(user);
  // All but one are counted there.
  if (account->second.served > 1) budget_.give_back({group_, user});
  --account->second.served;
  --served_;
  std::optional<Next> next;
  if (aside_ != 0) next = take_next();
  const bool idle = account->second.served == 0 && account->second.aside.empty();
  if (idle && accounts_.size() > kMostIdle) accounts_.erase(account);
  return next;
}

std::optional<CallShares::Next> CallShares::take_next() {
  const auto sooner = [](const auto& one, const auto& other) {
    if (one.second.aside.empty() != other.second.aside.empty()) return !one.second.aside.empty();
    return one.second.served < other.second.served;
  };
  auto& [user, account] = *std::min_element(accounts_.begin(), accounts_.end(), sooner);
  if (!admit(user, account)) return std::nullopt;
  const Next next{user, account.aside.front().call};
  account.aside.pop_front();
  --aside_;
  return next;
}

void CallShares::limit_to(int most_at_once) {
  const std::lock_guard lock(mutex_);
  most_at_once_ = std::max(most_at_once, 1);
}

bool CallShares::admit(uid_t user, Account& account) {
  const int free = most_at_once_ - served_;
  if (account.served == 0) {
    if (free <= 0) return false;
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
