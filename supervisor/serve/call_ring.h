// CallRing: the calls of late, for those who follow them; bounded.
//
// Serving threads add, and never wait: where the ring is full the event is lost, which is counted.
// One thread takes. Unless open() was called the ring has no memory, and costs a call one atomic
// load. The thread that takes is woken by the first event after it found the ring empty, not by
// each.
//
// It is the bounded queue of D. Vyukov: each slot has a number that says whose turn it is. A place
// is reserved before the caller has its answer, so that the calls of a thread stay in their order,
// whichever threads of ours serve them. What is behind a reserved place is not taken before that is
// filled; nobody is kept from adding.
//
// Ownership: owns its memory from open() until its own end. Thread rule: wanted() and add() any
// thread; all else the thread that takes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "supervisor/serve/call_event.h"

namespace shmvisor {

class CallRing {
 public:
  static constexpr std::size_t kMostEvents = 4096;  ///< a power of two

  CallRing() = default;
  CallRing(const CallRing&) = delete;
  CallRing& operator=(const CallRing&) = delete;

  /// Whether anybody follows.
  [[nodiscard]] bool wanted() const { return slots_.load(std::memory_order_acquire) != nullptr; }
  /// The place of the next event, which fill() must follow. Nothing where nobody follows, or the
  /// ring is full.
  [[nodiscard]] std::optional<std::size_t> reserve() noexcept;
  void fill(std::size_t place, const CallEvent& event) noexcept;
  void add(const CallEvent& event) noexcept {
    if (const auto place = reserve()) fill(*place, event);
  }

  /// From here on events are kept. `wake` is called by any thread when there is one to be taken; it
  /// must not wait. Once; later calls go on with the same.
  void open(std::function<void()> wake);
  /// Nobody follows any more.
  void close() { slots_.store(nullptr, std::memory_order_release); }
  /// As many as there are and fit, the oldest first; their number.
  std::size_t take(std::span<CallEvent> events);
  /// Says that the taker is about to sleep. False where it must not: there is an event.
  [[nodiscard]] bool may_sleep();
  /// Events that were lost since the last call.
  std::uint64_t take_lost() { return lost_.exchange(0, std::memory_order_relaxed); }

 private:
  struct Slot {
    std::atomic<std::size_t> turn{0};
    CallEvent event;
  };

  [[nodiscard]] bool has_one() const;

  std::unique_ptr<Slot[]> memory_;  // NOLINT: an array of atomics, which do not move
  std::function<void()> wake_;
  std::atomic<Slot*> slots_{nullptr};
  std::atomic<std::size_t> next_to_add_{0};
  std::size_t next_to_take_ = 0;
  std::atomic<bool> sleeps_{false};
  std::atomic<std::uint64_t> lost_{0};
};

}  // namespace shmvisor
