#include "supervisor/serve/delayed_calls.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "policy/limits/fair_share.h"

namespace shmvisor {
namespace {

constexpr std::chrono::seconds kUntilServedIsForgotten(1);

}  // namespace

bool DelayedCalls::has_room_for(uid_t user) const {
  const auto its_own = static_cast<std::size_t>(std::count_if(
      entries_.begin(), entries_.end(), [user](const Entry& one) { return one.user == user; }));
  return within_fair_share(its_own, kMost - entries_.size());
}

DelayedCalls::Entries::iterator DelayedCalls::forget(Entries::iterator entry) {
  count_.fetch_sub(1, std::memory_order_relaxed);
  return entries_.erase(entry);
}

void DelayedCalls::forget_dead() {
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    entry = alive_(entry->call.id) ? std::next(entry) : forget(entry);
  }
}

bool DelayedCalls::add(const seccomp_notif& call, uid_t user, std::chrono::microseconds delay,
                       const Decided& decided) {
  const MutexLock lock(mutex_);
  if (!has_room_for(user)) forget_dead();
  if (!has_room_for(user)) return false;
  entries_.push_back({call, user, Clock::now() + delay, decided});
  count_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

std::optional<DelayedCalls::Decided> DelayedCalls::take_decided(std::uint64_t id) {
  if (!any()) return std::nullopt;
  const MutexLock lock(mutex_);
  const auto entry = std::find_if(entries_.begin(), entries_.end(), [id](const Entry& one) {
    return one.served && one.call.id == id;
  });
  if (entry == entries_.end()) return std::nullopt;
  const Decided decided = entry->decided;
  forget(entry);
  return decided;
}

bool DelayedCalls::comes_again(const seccomp_notif& call) {
  if (!any()) return false;
  const MutexLock lock(mutex_);
  const auto entry = std::find_if(entries_.begin(), entries_.end(), [&call](const Entry& one) {
    return one.call.pid == call.pid && one.call.id != call.id &&
           std::memcmp(&one.call.data, &call.data, sizeof(call.data)) == 0;
  });
  if (entry == entries_.end() || alive_(entry->call.id)) return false;
  entry->call = call;
  entry->served = false;
  return true;
}

std::optional<seccomp_notif> DelayedCalls::take_due() {
  if (!any()) return std::nullopt;
  const MutexLock lock(mutex_);
  const auto now = Clock::now();
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const bool waits = !entry->served && entry->due > now;
    if (!waits && !alive_(entry->call.id)) {
      entry = forget(entry);
    } else if (!waits && !entry->served) {
      entry->served = true;
      return entry->call;
    } else {
      ++entry;
    }
  }
  return std::nullopt;
}

bool DelayedCalls::has_due() const {
  if (!any()) return false;
  const MutexLock lock(mutex_);
  const auto now = Clock::now();
  return std::any_of(entries_.begin(), entries_.end(), [this, now](const Entry& one) {
    return one.served ? !alive_(one.call.id) : one.due <= now;
  });
}

std::chrono::milliseconds DelayedCalls::time_left() const {
  using std::chrono::milliseconds;
  if (!any()) return milliseconds(0);
  const MutexLock lock(mutex_);
  std::optional<Clock::time_point> next;
  const auto now = Clock::now();
  for (const Entry& one : entries_) {
    // One that is served may end without its decision being asked for: take_due() forgets it.
    const auto due = one.served ? now + kUntilServedIsForgotten : one.due;
    if (!next || due < *next) next = due;
  }
  if (!next) return milliseconds(0);
  return std::max(std::chrono::ceil<milliseconds>(*next - now), milliseconds(1));
}

}  // namespace shmvisor
