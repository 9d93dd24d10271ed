#include "supervisor/serve/delayed_calls.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "policy/limits/fair_share.h"

namespace shmvisor {
namespace {

/// A call that is served may end without a call of answered().
constexpr std::chrono::seconds kBetweenLooksAtServed(1);

bool is_same(const seccomp_notif& one, const seccomp_notif& other) {
  return std::memcmp(&one.data, &other.data, sizeof(one.data)) == 0;
}

}  // namespace

bool DelayedCalls::has_room_for(uid_t user) const {
  const auto its_own = of_user_.find(user);
  return within_fair_share(its_own == of_user_.end() ? 0 : its_own->second,
                           kMost - entries_.size());
}

DelayedCalls::Entries::iterator DelayedCalls::forget(Entries::iterator entry) {
  count_.fetch_sub(1, std::memory_order_relaxed);
  const auto its_user = of_user_.find(entry->second.user);
  if (--its_user->second == 0) of_user_.erase(its_user);
  looks_.erase({entry->second.next_look, entry->first});
  return entries_.erase(entry);
}

void DelayedCalls::forget_void() {
  const auto now = Clock::now();
  if (now - searched_at_ < kBetweenSearches) return;
  searched_at_ = now;
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    entry = alive_(entry->second.call.id) ? std::next(entry) : forget(entry);
  }
}

void DelayedCalls::look_again(Entries::iterator entry, Clock::time_point when) {
  auto node = looks_.extract({entry->second.next_look, entry->first});
  node.value().first = entry->second.next_look = when;
  looks_.insert(std::move(node));
}

void DelayedCalls::make_void(Entries::iterator entry, Clock::time_point now) {
  entry->second.state = State::kVoid;
  look_again(entry, now + kVoidHolds);
}

bool DelayedCalls::insert(const seccomp_notif& call, uid_t user, const Entry& entry) {
  if (const auto known = entries_.find(call.pid); known != entries_.end()) {
    // The thread has called again, or its number is another's now.
    if (alive_(known->second.call.id)) return true;
    forget(known);
  }
  if (!has_room_for(user)) forget_void();
  if (!has_room_for(user)) return false;
  // If one of these insertions throws, the others are undone.
  const auto look = looks_.emplace(entry.next_look, call.pid).first;
  try {
    entries_.emplace(call.pid, entry);
    try {
      ++of_user_[user];
    } catch (...) {
      entries_.erase(call.pid);
      throw;
    }
  } catch (...) {
    looks_.erase(look);
    throw;
  }
  count_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

bool DelayedCalls::add(const seccomp_notif& call, uid_t user, std::chrono::microseconds delay,
                       const Decided& decided) {
  const MutexLock lock(mutex_);
  const auto due = Clock::now() + delay;
  return insert(call, user, {call, user, decided, State::kWaits, due, due});
}

DelayedCalls::Recalled DelayedCalls::recall(const seccomp_notif& call) {
  if (!any()) return {};
  const MutexLock lock(mutex_);
  const auto found = entries_.find(call.pid);
  if (found == entries_.end()) return {};
  Entry& entry = found->second;
  if (entry.call.id == call.id) return {Known::kDecided, entry.decided};
  if (!is_same(entry.call, call)) return {};
  if (alive_(entry.call.id)) return {Known::kVoid};
  if (entry.state == State::kReleased) {
    forget(found);
    return {};
  }
  const auto now = Clock::now();
  entry.call = call;
  if (entry.due > now) {
    entry.state = State::kWaits;
    look_again(found, entry.due);
    return {Known::kWaits};
  }
  entry.state = State::kServed;
  look_again(found, now + kBetweenLooksAtServed);
  return {Known::kDecided, entry.decided};
}

void DelayedCalls::answered(const seccomp_notif& call, uid_t user, const Decided& decided,
                            bool delivered) {
  if (delivered && !any()) return;
  const MutexLock lock(mutex_);
  const auto now = Clock::now();
  const auto found = entries_.find(call.pid);
  const bool is_known = found != entries_.end() && found->second.call.id == call.id;
  if (is_known && delivered) {
    forget(found);
  } else if (is_known) {
    make_void(found, now);
  } else if (!delivered) {
    (void)insert(call, user, {call, user, decided, State::kVoid, now, now + kVoidHolds});
  }
}

void DelayedCalls::release_without_rule(const std::function<bool(const Rule&)>& is_in_force) {
  const MutexLock lock(mutex_);
  const auto now = Clock::now();
  std::unordered_map<const Rule*, bool> known;  // many calls have one rule
  for (auto next = entries_.begin(); next != entries_.end();) {
    const auto entry = next++;
    const Rule* const rule = entry->second.decided.rule.get();
    if (entry->second.state == State::kServed || rule == nullptr) continue;
    const auto [is_there, is_new] = known.try_emplace(rule, false);
    if (is_new) is_there->second = is_in_force(*rule);
    if (is_there->second) continue;
    if (entry->second.state == State::kVoid) {
      forget(entry);
      continue;
    }
    entry->second.state = State::kReleased;
    look_again(entry, now);
  }
}

std::optional<seccomp_notif> DelayedCalls::take_due() {
  if (!any()) return std::nullopt;
  const MutexLock lock(mutex_);
  const auto now = Clock::now();
  while (!looks_.empty() && looks_.begin()->first <= now) {
    const auto found = entries_.find(looks_.begin()->second);
    Entry& entry = found->second;
    if (entry.state == State::kVoid) {
      forget(found);
    } else if (entry.state == State::kReleased) {
      const seccomp_notif call = entry.call;
      forget(found);
      if (alive_(call.id)) return call;
    } else if (!alive_(entry.call.id)) {
      make_void(found, now);
    } else {
      const bool has_waited = entry.state == State::kWaits;
      entry.state = State::kServed;
      look_again(found, now + kBetweenLooksAtServed);
      if (has_waited) return entry.call;
    }
  }
  return std::nullopt;
}

bool DelayedCalls::has_due() const {
  if (!any()) return false;
  const MutexLock lock(mutex_);
  return !looks_.empty() && looks_.begin()->first <= Clock::now();
}

std::chrono::milliseconds DelayedCalls::time_left() const {
  using std::chrono::milliseconds;
  if (!any()) return milliseconds(0);
  const MutexLock lock(mutex_);
  if (looks_.empty()) return milliseconds(0);
  const auto left = std::chrono::ceil<milliseconds>(looks_.begin()->first - Clock::now());
  return std::max(left, milliseconds(1));
}

}  // namespace shmvisor
