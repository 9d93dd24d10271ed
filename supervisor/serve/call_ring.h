// CallRing: a bounded queue of the latest calls, for clients that follow them.
//
// Serving threads add events, and never wait: if the ring is full, the event is lost, and the loss
// is counted. One thread, the taker, takes events out. Unless open() was called the ring has no
// memory, and costs a call one atomic load. After the taker has found the ring empty, only the
// first event wakes it.
//
// The ring is D. Vyukov's bounded queue: each slot has a number that says whose turn it is. A place
// is reserved before the caller has its answer, so that the calls of a thread stay in their order,
// whichever threads of ours serve them. Events behind a reserved place are not taken before that
// place is filled; other threads can go on adding meanwhile.
//
// Ownership: owns its memory from open() until its own end. Thread rule: wanted(), reserve(),
// fill() and add() any thread; all other members the taker.
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

  /// Whether any client follows.
  [[nodiscard]] bool wanted() const { return slots_.load(std::memory_order_acquire) != nullptr; }
  /// The place of the next event, which the caller must fill(). Nothing if no client follows, or
  /// the ring is full.
  [[nodiscard]] std::optional<std::size_t> reserve() noexcept;
  void fill(std::size_t place, const CallEvent& event) noexcept;
  void add(const CallEvent& event) noexcept {
    if (const auto place = reserve()) fill(*place, event);
  }

  /// From here on events are kept. `wake` is called by any thread when there is an event to take;
  /// it must not wait. The first `wake` stays: later calls of open() do not replace it.
  void open(std::function<void()> wake);
  /// No client follows any more.
  void close() { slots_.store(nullptr, std::memory_order_release); }
  /// Takes as many events as there are and fit, the oldest first; returns their number.
  std::size_t take(std::span<CallEvent> events);
  /// Says that the taker is about to sleep. False if it must not, since there is an event.
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
