#include "supervisor/journal/call_slots.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

namespace shmvisor {

using journal::CallDecision;
using journal::CallSlot;
using journal::kSlots;

namespace {

thread_local std::optional<CallDecision> announced;

void set(CallSlot& slot, std::uint32_t flag, bool on) {
  if (on) {
    slot.flags.fetch_or(flag);
  } else {
    slot.flags.fetch_and(~flag);
  }
}

void decide(CallSlot& slot, std::int64_t result) {
  slot.result.store(result, std::memory_order_relaxed);
  slot.state.store(CallSlot::kDecided, std::memory_order_release);
}

constexpr std::size_t kMark = 5;

/// Whether the last argument of `again` is the mark of `first`. A thread that makes one up has
/// nothing by it but the result of its own call.
bool has_mark(const seccomp_notif& first, const seccomp_notif& again) {
  // A register of 32 bits has as much of it.
  const bool is_narrow = again.data.args[kMark] <= UINT32_MAX;
  const std::uint64_t mark = is_narrow ? static_cast<std::uint32_t>(first.id) : first.id;
  return again.data.args[kMark] == mark;
}

/// Whether both are the same, but for the last argument.
bool is_alike(const seccomp_notif& first, const seccomp_notif& again) {
  return again.pid == first.pid && again.data.arch == first.data.arch &&
         again.data.nr == first.data.nr &&
         again.data.instruction_pointer == first.data.instruction_pointer &&
         std::equal(first.data.args, first.data.args + kMark, again.data.args);
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
    const std::uint32_t flags = slot.flags.load();
    slot.deaths = (flags & CallSlot::kInService) != 0 ? slot.deaths + 1 : 0;
    set(slot, CallSlot::kInService | CallSlot::kBegun, false);
    const bool refused = slot.state.load() == CallSlot::kReceived && slot.deaths >= kMostDeaths;
    if (refused) decide(slot, -ENOMEM);
    all.emplace_back(left_in(number)).refused = refused;
  }
  return all;
}

CallSlots::Left CallSlots::left_in(std::size_t number) const {
  const CallSlot& slot = slots_[number];
  Left left;
  left.notification = slot.notification;
  left.listener = slot.listener;
  if (slot.state.load() == CallSlot::kDecided) left.decided = slot.result.load();
  left.marked = (slot.flags.load() & CallSlot::kMarked) != 0;
  left.deaths = slot.deaths;
  return left;
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
  slot.flags.store(0, std::memory_order_relaxed);
  slot.state.store(CallSlot::kReceiving, std::memory_order_release);
  return &slot;
}

void CallSlots::received(CallSlot& slot) {
  slot.state.store(CallSlot::kReceived, std::memory_order_release);
  const MutexLock lock(mutex_);
  enter(number_of(slot));
}

void CallSlots::begin_unless_paused(CallSlot& slot) {
  // In this order: who pauses looks for calls that have begun afterwards.
  set(slot, CallSlot::kBegun, true);
  if (file_.header().paused.load() == 0) return;
  set(slot, CallSlot::kBegun, false);
  for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
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

std::optional<std::uint64_t> CallSlots::mark(std::uint64_t call) {
  const MutexLock lock(mutex_);
  const std::uint16_t number = find(call);
  if (number == kEnd) return std::nullopt;
  set(slots_[number], CallSlot::kMarked, true);
  return call;
}

void CallSlots::await_again(std::uint64_t call) {
  const MutexLock lock(mutex_);
  const std::uint16_t number = find(call);
  if (number == kEnd) return;
  const bool is_marked = (slots_[number].flags.load() & CallSlot::kMarked) != 0;
  // The repetition of a marked one: what comes again is that one.
  if (!is_marked && find(slots_[number].notification.data.args[kMark]) != kEnd) {
    release(number);
    return;
  }
  awaited_.emplace(slots_[number].notification.pid, number);
  awaited_count_.store(awaited_.size());
}

std::optional<CallSlots::Left> CallSlots::first_of(const seccomp_notif& notif, int listener) const {
  if (awaited_count_.load(std::memory_order_relaxed) == 0) return std::nullopt;
  const MutexLock lock(mutex_);
  const auto [begin, end] = awaited_.equal_range(notif.pid);
  std::optional<Left> repeated;
  for (auto one = begin; one != end; ++one) {
    const CallSlot& slot = slots_[one->second];
    const seccomp_notif& first = slot.notification;
    if (slot.listener != listener || !is_alike(first, notif)) continue;
    Left left = left_in(one->second);
    left.marked = left.marked && has_mark(first, notif);
    if (left.marked) return left;
    if (left.deaths != 0 && notif.data.args[kMark] == first.data.args[kMark]) repeated = left;
  }
  return repeated;
}

void CallSlots::go_on_as(std::uint64_t first, std::uint64_t again) {
  const MutexLock lock(mutex_);
  const std::uint16_t before = find(first);
  const std::uint16_t now = find(again);
  if (before == kEnd) return;
  if (now != kEnd) slots_[now].deaths = slots_[before].deaths;
  release(before);
}

std::size_t CallSlots::taken() const {
  const MutexLock lock(mutex_);
  return taken_.count();
}

std::size_t CallSlots::room_to_wait() const {
  const std::size_t left = kSlots - taken();
  return left > kForService ? left - kForService : 0;
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

void CallSlots::leave(std::uint16_t slot) {
  std::uint16_t* link = &first_[bucket_of(slots_[slot].notification.id)];
  while (*link != kEnd && *link != slot) link = &next_[*link];
  if (*link == slot) *link = std::exchange(next_[slot], kEnd);
}

void CallSlots::release(std::uint16_t slot) {
  leave(slot);
  if (!awaited_.empty()) {
    const auto [begin, end] = awaited_.equal_range(slots_[slot].notification.pid);
    const auto at =
        std::find_if(begin, end, [slot](const auto& one) { return one.second == slot; });
    if (at != end) awaited_.erase(at);
    awaited_count_.store(awaited_.size());
  }
  slots_[slot].state.store(CallSlot::kFree, std::memory_order_release);
  taken_.reset(slot);
  first_free_ = std::min<std::size_t>(first_free_, slot);
  released_.notify_one();
}

}  // namespace shmvisor
