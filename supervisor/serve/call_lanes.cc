#include "supervisor/serve/call_lanes.h"

#include <algorithm>
#include <new>

namespace shmvisor {

CallLanes::CallLanes(std::size_t count) : count_(std::clamp<std::size_t>(count, 1, kMost)) {}

CallLanes::Lane* CallLanes::lane_of(Thread thread) {
  const auto end = lanes_.begin() + static_cast<std::ptrdiff_t>(count_);
  const auto found = std::find_if(lanes_.begin(), end,
                                  [thread](const Lane& lane) { return lane.thread == thread; });
  return found == end ? nullptr : &*found;
}

std::optional<std::size_t> CallLanes::enter(Thread thread) {
  const MutexLock lock(mutex_);
  Lane* lane = lane_of(thread);
  if (lane == nullptr) {
    lane = lane_of(nullptr);
    if (lane == nullptr) return std::nullopt;
    take(*lane, thread);
  }
  return static_cast<std::size_t>(lane - lanes_.data());
}

void CallLanes::take(Lane& lane, Thread thread) {
  lane.thread = thread;
  lane.away = false;
  taken_.fetch_add(1, std::memory_order_relaxed);
}

bool CallLanes::leave(Thread thread) {
  if (taken() == 0) return false;
  const MutexLock lock(mutex_);
  Lane* const mine = lane_of(thread);
  if (mine == nullptr) return false;
  mine->thread = nullptr;
  taken_.fetch_sub(1, std::memory_order_relaxed);
  return !mine->calls.empty();
}

void CallLanes::set_away(Thread thread, bool away) {
  const MutexLock lock(mutex_);
  if (Lane* const mine = lane_of(thread)) mine->away = away;
}

CallLanes::Home& CallLanes::home_of(pid_t tid) {
  return homes_.at(static_cast<std::size_t>(tid) % homes_.size());
}

void CallLanes::move(Home& home, pid_t tid, Lane& lane) {
  if (home.tid != 0) --lanes_.at(home.lane).callers;
  home = {tid, static_cast<std::uint8_t>(&lane - lanes_.data())};
  ++lane.callers;
}

bool CallLanes::hand_over(const seccomp_notif& call, Thread thread) {
  const auto tid = static_cast<pid_t>(call.pid);
  const MutexLock lock(mutex_);
  Lane* const mine = lane_of(thread);
  Home& home = home_of(tid);
  Lane* its = home.tid == tid ? &lanes_.at(home.lane) : nullptr;
  if (its == nullptr) {
    for (Lane& lane : lanes_) {
      if (lane.thread == nullptr) continue;
      if (its == nullptr || lane.callers < its->callers) its = &lane;
    }
    if (its == nullptr) return false;
    move(home, tid, *its);
  }
  if (its == mine) return false;
  if (its->thread == nullptr || its->away) {
    if (mine != nullptr && its->thread == nullptr) move(home, tid, *mine);
    return false;
  }
  if (its->calls.size() >= kMostCalls) return false;
  try {
    its->calls.push_back(call);
  } catch (const std::bad_alloc&) {
    return false;
  }
  calls_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

seccomp_notif CallLanes::take_out(Lane& lane) {
  const seccomp_notif call = lane.calls.front();
  lane.calls.erase(lane.calls.begin());
  ++lane.taken_out;
  calls_.fetch_sub(1, std::memory_order_relaxed);
  return call;
}

std::optional<seccomp_notif> CallLanes::next(Thread thread) {
  if (!any_calls()) return std::nullopt;
  const MutexLock lock(mutex_);
  Lane* const mine = lane_of(thread);
  if (mine != nullptr && !mine->calls.empty()) return take_out(*mine);
  for (Lane& lane : lanes_) {
    if (lane.thread != nullptr || lane.calls.empty()) continue;
    if (mine == nullptr) take(lane, thread);
    return take_out(lane);
  }
  return std::nullopt;
}

std::optional<seccomp_notif> CallLanes::steal(Thread thread) {
  constexpr std::size_t kLeastWaiting = 2;
  if (calls_.load(std::memory_order_relaxed) < kLeastWaiting) return std::nullopt;
  const MutexLock lock(mutex_);
  Lane* const mine = lane_of(thread);
  if (mine == nullptr) return std::nullopt;
  const auto longest =
      std::ranges::max_element(lanes_, {}, [](const Lane& lane) { return lane.calls.size(); });
  if (longest->calls.size() < kLeastWaiting) return std::nullopt;
  const seccomp_notif call = take_out(*longest);
  const auto tid = static_cast<pid_t>(call.pid);
  move(home_of(tid), tid, *mine);
  return call;
}

bool CallLanes::release_stuck() {
  bool left = false;
  const MutexLock lock(mutex_);
  for (Lane& lane : lanes_) {
    if (!lane.calls.empty() && lane.thread != nullptr && lane.looked_at == lane.taken_out) {
      lane.thread = nullptr;
      taken_.fetch_sub(1, std::memory_order_relaxed);
    }
    lane.looked_at = lane.calls.empty() ? kNeverLooked : lane.taken_out;
    left = left || (lane.thread == nullptr && !lane.calls.empty());
  }
  return left;
}

}  // namespace shmvisor
