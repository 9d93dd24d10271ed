#include "supervisor/serve/call_shares.h"

#include <algorithm>
#include <utility>

#include "policy/limits/fair_share.h"

namespace shmvisor {

CallShares::Admission CallShares::arrive(uid_t user, const seccomp_notif& call,
                                         std::optional<Clock::time_point> now) {
  const MutexLock lock(mutex_);
  Account& account = accounts_[user];
  // Calls that wait already come first.
  if (account.aside.empty() && admit(user, account)) return Admission::kServe;
  if (!may_wait(account)) make_room(account);
  if (!may_wait(account)) return Admission::kRefused;
  const Clock::time_point since = now ? *now : Clock::now();
  account.aside.push_back({call, since});
  ++aside_;
  return since - account.aside.front().since >= kLongWait ? Admission::kStuck : Admission::kAside;
}

std::optional<CallShares::Next> CallShares::leave(uid_t user, Successor successor) {
  const MutexLock lock(mutex_);
  const auto account = accounts_.find(user);
  // The budget counts all calls of the user but one.
  if (account->second.served > 1) budget_.give_back({group_, user});
  --account->second.served;
  --served_;
  const auto next = successor == Successor::kThisThread ? take_next() : std::nullopt;
  const bool idle = account->second.served == 0 && account->second.aside.empty();
  if (idle && accounts_.size() > kMostIdle) accounts_.erase(account);
  return next;
}

bool CallShares::can_resume() {
  const MutexLock lock(mutex_);
  return first_that([this](uid_t user, const Account& account) NO_THREAD_SAFETY_ANALYSIS {
           return account.served == 0 || budget_.has_room({group_, user}, waiter_);
         }) != nullptr;
}

std::optional<CallShares::Next> CallShares::resume() {
  const MutexLock lock(mutex_);
  return take_next();
}

std::optional<CallShares::Next> CallShares::take_next() {
  auto* const found = first_that([this](uid_t user, Account& account)
                                     REQUIRES(mutex_) { return admit(user, account); });
  if (found == nullptr) return std::nullopt;
  auto& [user, account] = *found;
  const Next next{user, account.aside.front().call};
  account.aside.pop_front();
  count_out_of_aside(1);
  return next;
}

template <typename May>
CallShares::Accounts::value_type* CallShares::first_that(May may) {
  if (aside_ == 0) return nullptr;
  const auto order = [](const Accounts::value_type& one) {
    return std::pair(one.second.served, one.first);
  };
  // One after the other in that order, without memory for it.
  const Accounts::value_type* refused = nullptr;
  for (;;) {
    Accounts::value_type* next = nullptr;
    for (auto& one : accounts_) {
      if (one.second.aside.empty() || (refused != nullptr && order(one) <= order(*refused))) {
        continue;
      }
      if (next == nullptr || order(one) < order(*next)) next = &one;
    }
    // Users with more calls in service are refused threads as well.
    if (next == nullptr || !has_threads_for(next->second)) return nullptr;
    if (may(next->first, next->second)) return next;
    refused = next;
  }
}

void CallShares::limit_to(int most_at_once) {
  const MutexLock lock(mutex_);
  const int before = std::exchange(most_at_once_, std::max(most_at_once, 1));
  if (most_at_once_ > before && aside_ != 0) resume_();
}

bool CallShares::has_threads_for(const Account& account) const {
  const int free = most_at_once_ - served_;
  return within_fair_share(account.served, free);
}

bool CallShares::admit(uid_t user, Account& account) {
  if (!has_threads_for(account)) return false;
  if (account.served != 0 && !budget_.take({group_, user}, waiter_)) return false;
  ++account.served;
  ++served_;
  return true;
}

bool CallShares::may_wait(const Account& account) const {
  return account.aside.size() < most_waiting_of_user_ &&
         (room_ == nullptr || within_fair_share(aside_, room_()));
}

void CallShares::make_room(Account& account) {
  // This takes a system call for each waiting call, so it is not done for each refused call.
  if (account.refused_since_look++ % std::max<std::size_t>(most_waiting_of_user_ / 4, 1) != 0)
    return;
  // Those of others count as well where it is the listener that has its share.
  const bool of_all = account.aside.size() < most_waiting_of_user_;
  std::size_t gone = 0;
  for (auto& [user, one] : accounts_) {
    if (!of_all && &one != &account) continue;
    gone += std::erase_if(one.aside, [this](const Aside& call) { return !alive_(call.call); });
  }
  count_out_of_aside(gone);
}

void CallShares::count_out_of_aside(std::size_t calls) {
  aside_ -= calls;
  if (aside_ == 0) waiter_.withdraw();
}

}  // namespace shmvisor
