#include "supervisor/serve/call_ring.h"

#include <utility>

namespace shmvisor {
namespace {

constexpr std::size_t kPlaces = CallRing::kMostEvents - 1;
static_assert((CallRing::kMostEvents & kPlaces) == 0);

}  // namespace

void CallRing::open(std::function<void()> wake) {
  if (memory_ == nullptr) {
    memory_ = std::make_unique<Slot[]>(kMostEvents);  // NOLINT
    for (std::size_t place = 0; place < kMostEvents; ++place) {
      memory_[place].turn.store(place, std::memory_order_relaxed);
    }
    wake_ = std::move(wake);
    sleeps_.store(true, std::memory_order_relaxed);
  }
  slots_.store(memory_.get(), std::memory_order_release);
}

std::optional<std::size_t> CallRing::reserve() noexcept {
  Slot* const slots = slots_.load(std::memory_order_acquire);
  if (slots == nullptr) return std::nullopt;
  std::size_t at = next_to_add_.load(std::memory_order_relaxed);
  for (;;) {
    const std::size_t turn = slots[at & kPlaces].turn.load(std::memory_order_acquire);
    if (turn == at) {
      if (next_to_add_.compare_exchange_weak(at, at + 1, std::memory_order_relaxed)) return at;
      continue;
    }
    if (turn < at) {  // not taken since the last round
      lost_.fetch_add(1, std::memory_order_relaxed);
      return std::nullopt;
    }
    at = next_to_add_.load(std::memory_order_relaxed);
  }
}

void CallRing::fill(std::size_t place, const CallEvent& event) noexcept {
  Slot& slot = memory_[place & kPlaces];
  slot.event = event;
  slot.turn.store(place + 1, std::memory_order_seq_cst);
  // Either the taker sees the event, or this thread sees that the taker sleeps: in fill() and
  // may_sleep() the turn and the flag are written and read in the one order of all seq_cst
  // accesses.
  if (sleeps_.load(std::memory_order_seq_cst) && sleeps_.exchange(false)) wake_();
}

bool CallRing::has_one() const {
  const Slot& slot = memory_[next_to_take_ & kPlaces];
  return slot.turn.load(std::memory_order_seq_cst) == next_to_take_ + 1;
}

std::size_t CallRing::take(std::span<CallEvent> events) {
  std::size_t count = 0;
  for (; memory_ != nullptr && count < events.size() && has_one(); ++count, ++next_to_take_) {
    Slot& slot = memory_[next_to_take_ & kPlaces];
    events[count] = slot.event;
    slot.turn.store(next_to_take_ + kMostEvents, std::memory_order_release);
  }
  return count;
}

bool CallRing::may_sleep() {
  if (memory_ == nullptr) return true;
  sleeps_.store(true, std::memory_order_seq_cst);
  if (!has_one()) return true;
  sleeps_.store(false, std::memory_order_relaxed);
  return false;
}

}  // namespace shmvisor
