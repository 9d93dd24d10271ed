#include "supervisor/journal/call_slots.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <utility>

#include "policy/base/fault_point.h"

namespace shmvisor {

using journal::CallDecision;
using journal::CallSlot;
using journal::InjectionNote;
using journal::kSlots;

namespace {

/// A flag of a slot: its note is of a server that died, while the caller waits in its notification
/// still. Of this process's, beside CallSlot::kInService.

thread_local std::optional<CallDecision> announced;

void set(CallSlot& slot, std::uint32_t flag, bool on) {
  if (on) {
    slot.flags.fetch_or(flag);
  } else {
    slot.flags.fetch_and(~flag);
  }
}

/// 0: it could not be told which thread has the tid.
bool is_same_caller(std::uint64_t one, std::uint64_t other) {
  return one == other || one == 0 || other == 0;
}

bool is_same_call(const seccomp_notif& one, const seccomp_notif& other) {
  return std::memcmp(&one.data, &other.data, sizeof(one.data)) == 0;
}

void decide(CallSlot& slot, std::int64_t result) {
  slot.result.store(result, std::memory_order_relaxed);
  fault_point("before_decided");
  slot.state.store(CallSlot::kDecided, std::memory_order_release);
  fault_point("decided");
}

}  // namespace

CallSlots::CallSlots(StateFile& file, const std::vector<CallDecision>& decisions)
    : file_(file), slots_(file.slots()) {
  const MutexLock lock(mutex_);
  first_.fill(kEnd);
  next_.fill(kEnd);
  for (std::uint16_t number = 0; number < kSlots; ++number) {
    CallSlot& slot = slots_[number];
    const std::uint32_t state = slot.state.load(std::memory_order_acquire);
    if (state == CallSlot::kFree) continue;
    // The kernel gives every notification an id and a thread.
    if (state == CallSlot::kReceiving && slot.notification.id == 0 && slot.notification.pid == 0) {
      slot.state.store(CallSlot::kFree);
      continue;
    }
    if (state == CallSlot::kReceiving) slot.state.store(CallSlot::kReceived);
    taken_.set(number);
    enter(number);
    if (state == CallSlot::kLeft) left_.push_back(number);
    may_come_again_.store(true);
  }
  for (const CallDecision& decision : decisions) decided(file_, decision);
}

void CallSlots::acquit() {
  const MutexLock lock(mutex_);
  for (std::uint16_t number = 0; number < kSlots; ++number) {
    if (taken_.test(number)) set(slots_[number], CallSlot::kInService, false);
  }
}

std::vector<CallSlots::Left> CallSlots::take_left() {
  const MutexLock lock(mutex_);
  std::vector<Left> all;
  all.reserve(taken_.count());
  for (std::uint16_t number = 0; number < kSlots; ++number) {
    if (!taken_.test(number)) continue;
    CallSlot& slot = slots_[number];
    if (slot.state.load() == CallSlot::kLeft) {
      const auto caller = static_cast<pid_t>(slot.notification.pid);
      if (::kill(caller, 0) != 0 && errno == ESRCH) release(number);
      continue;
    }
    const std::uint32_t flags = slot.flags.load();
    slot.deaths = (flags & CallSlot::kInService) != 0 ? slot.deaths + 1 : 0;
    set(slot, CallSlot::kInService, false);
    const bool refused = slot.state.load() == CallSlot::kReceived && slot.deaths >= kMostDeaths;
    if (refused) decide(slot, -ENOMEM);
    Left& left = all.emplace_back();
    left.notification = slot.notification;
    left.listener = slot.listener;
    if (slot.state.load() == CallSlot::kDecided) left.decided = slot.result.load();
    left.refused = refused;
  }
  return all;
}

CallSlot* CallSlots::take(int listener, std::chrono::milliseconds bound) {
  const auto deadline = std::chrono::steady_clock::now() + bound;
  MutexLock lock(mutex_);
  for (;;) {
    while (first_free_ < kSlots && taken_.test(first_free_)) ++first_free_;
    if (first_free_ < kSlots) break;
    if (!released_.wait_until(mutex_, deadline) && first_free_ == kSlots) return nullptr;
  }
  const std::size_t number = first_free_++;
  taken_.set(number);
  lock.unlock();
  CallSlot& slot = slots_[number];
  std::memset(slot.room.data(), 0, slot.room.size());
  slot.listener = listener;
  slot.deaths = 0;
  slot.note.forget();
  slot.flags.store(0, std::memory_order_relaxed);
  slot.state.store(CallSlot::kReceiving, std::memory_order_release);
  return &slot;
}

void CallSlots::received(CallSlot& slot) {
  fault_point("received");
  slot.state.store(CallSlot::kReceived, std::memory_order_release);
  const MutexLock lock(mutex_);
  enter(number_of(slot));
}

void CallSlots::give_back(CallSlot& slot) {
  const MutexLock lock(mutex_);
  const std::uint16_t number = number_of(slot);
  slot.state.store(CallSlot::kFree);
  taken_.reset(number);
  first_free_ = std::min<std::size_t>(first_free_, number);
  released_.notify_one();
}

void CallSlots::deliver(std::uint64_t call, std::int64_t result) {
  const MutexLock lock(mutex_);
  const std::uint16_t number = find(call);
  if (number != kEnd) decide(slots_[number], result);
}

void CallSlots::free(std::uint64_t call) {
  const MutexLock lock(mutex_);
  const std::uint16_t number = find(call);
  if (number != kEnd) release(number);
}

void CallSlots::forget(int listener) {
  const MutexLock lock(mutex_);
  for (std::uint16_t number = 0; number < kSlots; ++number) {
    if (!taken_.test(number) || slots_[number].listener != listener) continue;
    // One that is being received into belongs to the thread that does so.
    if (slots_[number].state.load() != CallSlot::kReceiving) release(number);
  }
}

journal::InjectionNote* CallSlots::note(std::uint64_t call) {
  const MutexLock lock(mutex_);
  const std::uint16_t number = find(call);
  return number == kEnd ? nullptr : &slots_[number].note;
}

bool CallSlots::leave(std::uint64_t call) {
  const MutexLock lock(mutex_);
  const std::uint16_t number = find(call);
  if (number == kEnd) return false;
  if (slots_[number].deaths == 0 && !slots_[number].note.says_anything()) return false;
  CallSlot& own = slots_[number];
  if (const auto left = left_by(own.notification.pid)) {
    CallSlot& other = slots_[*left];
    const bool is_newer = own.notification.id > other.notification.id;
    CallSlot& newer = is_newer ? own : other;
    CallSlot& older = is_newer ? other : own;
    // A caller may be in its next call before the slot of the last one is free. Or it was to make
    // its call again while it was held (inject/repeated_call.h): what was done is in the first one.
    const bool repeats = !newer.note.says_anything() && older.note.says_anything() &&
                         is_same_call(newer.notification, older.notification);
    if (repeats) older.deaths = std::max(older.deaths, newer.deaths);
    if (is_newer == repeats) return false;
    release(*left);
  }
  left_.push_back(number);
  slots_[number].state.store(CallSlot::kLeft);
  return true;
}

CallSlots::Earlier CallSlots::take_up(const seccomp_notif& call, std::uint64_t caller) {
  if (!may_come_again_.load(std::memory_order_relaxed)) return {};
  const MutexLock lock(mutex_);
  const std::uint16_t own_number = find(call.id);
  if (own_number == kEnd) return {};
  CallSlot& own = slots_[own_number];
  if (const auto left = left_by(call.pid)) {
    const CallSlot& slot = slots_[*left];
    // One who has its result, or makes another call, has gone on; another thread may have the tid.
    const bool repeats = slot.note.phase.load() != InjectionNote::kReleasing &&
                         is_same_caller(slot.note.caller.load(), caller) &&
                         is_same_call(slot.notification, call);
    if (repeats) {
      own.deaths = slot.deaths;
      own.note.copy_from(slot.note);
    }
    fault_point("note_taken_up");
    release(*left);
  }
  // Its slot may have one already, of a server that died before it held the caller.
  if (own.deaths == 0 && !own.note.says_anything()) return {};
  return {&own.note, own.deaths};
}

std::optional<std::uint16_t> CallSlots::left_by(std::uint32_t caller) const {
  const auto found = std::ranges::find_if(
      left_, [&](std::uint16_t one) { return slots_[one].notification.pid == caller; });
  return found == left_.end() ? std::nullopt : std::optional(*found);
}

std::vector<CallSlots::Guarded> CallSlots::left_with(std::uint32_t flag) const {
  const MutexLock lock(mutex_);
  std::vector<Guarded> all;
  for (const std::uint16_t number : left_) {
    const CallSlot& slot = slots_[number];
    if (!slot.note.has(flag)) continue;
    all.push_back({slot.notification.id, static_cast<pid_t>(slot.notification.pid)});
  }
  return all;
}

bool CallSlots::look_at_left(std::uint64_t call,
                             const std::function<void(journal::InjectionNote&)>& look) {
  const MutexLock lock(mutex_);
  const std::uint16_t number = find(call);
  if (number == kEnd || slots_[number].state.load() != CallSlot::kLeft) return false;
  look(slots_[number].note);
  return true;
}

std::size_t CallSlots::taken() const {
  const MutexLock lock(mutex_);
  return taken_.count();
}

void CallSlots::announce(std::uint64_t call, std::int64_t result) {
  const MutexLock lock(mutex_);
  const std::uint16_t number = find(call);
  if (number != kEnd) announced = CallDecision{number, call, result};
}

std::optional<CallDecision> CallSlots::take_decision() {
  return std::exchange(announced, std::nullopt);
}

void CallSlots::decided(StateFile& file, const CallDecision& decision) {
  CallSlot& slot = file.slots()[decision.slot];
  if (slot.state.load() != CallSlot::kReceived || slot.notification.id != decision.call) return;
  decide(slot, decision.result);
}

std::uint16_t CallSlots::find(std::uint64_t call) const {
  std::uint16_t number = first_[bucket_of(call)];
  while (number != kEnd && slots_[number].notification.id != call) number = next_[number];
  return number;
}

std::uint16_t CallSlots::number_of(const CallSlot& slot) const {
  return static_cast<std::uint16_t>(&slot - slots_.data());
}

void CallSlots::set_flag(std::uint64_t call, std::uint32_t flag, bool on) {
  const MutexLock lock(mutex_);
  const std::uint16_t number = find(call);
  if (number != kEnd) set(slots_[number], flag, on);
}

void CallSlots::enter(std::uint16_t slot) {
  std::uint16_t& first = first_[bucket_of(slots_[slot].notification.id)];
  next_[slot] = std::exchange(first, slot);
}

void CallSlots::unlink(std::uint16_t slot) {
  std::uint16_t* link = &first_[bucket_of(slots_[slot].notification.id)];
  while (*link != kEnd && *link != slot) link = &next_[*link];
  if (*link == slot) *link = std::exchange(next_[slot], kEnd);
}

void CallSlots::release(std::uint16_t slot) {
  fault_point("slot_before_free");
  unlink(slot);
  if (slots_[slot].state.exchange(CallSlot::kFree) == CallSlot::kLeft) std::erase(left_, slot);
  taken_.reset(slot);
  first_free_ = std::min<std::size_t>(first_free_, slot);
  released_.notify_one();
  fault_point("slot_freed");
}

}  // namespace shmvisor
