// LaneDemand: whether calls come so densely, and from several callers at once, that several threads
// shall receive at a time (CallLanes).
//
// It is begun where calls of different callers overlap again and again: one waits while another is
// served. It ends soon where they do so no longer, where a thread that stays awake for the next
// call waits in vain, and where another program wants the CPU meanwhile. A single caller never
// begins it: all that it costs one is a comparison.
//
// Thread rule: any thread. What threads tell at the same time may be lost: it is a tendency that
// counts.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace shmvisor {

class LaneDemand {
 public:
  using Clock = std::chrono::steady_clock;

  /// Calls that overlap with others, before it begins: few of a short burst find a second thread.
  static constexpr int kOverlapsToBegin = 4;
  /// Whether it may be worth asking the kernel is found at one of so many turns of callers.
  static constexpr unsigned kTurnsForALook = 4;
  /// A thread that gave its CPU away for longer was not just waiting for its callers.
  static constexpr std::chrono::microseconds kKept{300};
  /// After that nobody stays awake for so many times as long, as far as kMostKept.
  static constexpr int kRestAfterKept = 16;
  static constexpr std::chrono::milliseconds kMostKept{10};

  [[nodiscard]] bool engaged() const { return engaged_.load(std::memory_order_relaxed); }

  /// A call of `tid` was received. `overlaps`: says whether another call waits or is in service;
  /// asked only where that matters.
  template <typename Overlaps>
  void received(pid_t tid, Overlaps overlaps) {
    const bool same = last_tid_.load(std::memory_order_relaxed) == tid;
    if (!same) last_tid_.store(tid, std::memory_order_relaxed);
    if (engaged()) {
      add(overlaps() ? kForOverlap : -1);
    } else if (!same && turns_.fetch_add(1, std::memory_order_relaxed) % kTurnsForALook == 0) {
      add(overlaps() ? kToBegin / kOverlapsToBegin : -1);
      if (score_.load(std::memory_order_relaxed) >= kToBegin &&
          Clock::now() >= not_before_.load()) {
        score_.store(kMost, std::memory_order_relaxed);
        engaged_.store(true, std::memory_order_relaxed);
      }
    }
  }

  /// A thread stayed awake for a call, and none came.
  void waited_in_vain() { add(-kForVain); }

  /// A thread that waited for a call gave its CPU away, and got it back only after `time`.
  void was_kept(std::chrono::nanoseconds time, Clock::time_point now = Clock::now()) {
    if (time < kKept) return;
    time = std::min<std::chrono::nanoseconds>(time, kMostKept);
    not_before_.store(now + kRestAfterKept * std::chrono::duration_cast<Clock::duration>(time));
    add(-kMost);
  }

 private:
  static constexpr int kToBegin = 16;
  static constexpr int kMost = 48;
  static constexpr int kForOverlap = 3;
  static constexpr int kForVain = 8;

  void add(int change) {
    const int before = score_.load(std::memory_order_relaxed);
    const int after = std::clamp(before + change, 0, kMost);
    if (after != before) score_.store(after, std::memory_order_relaxed);
    if (after == 0 && engaged()) engaged_.store(false, std::memory_order_relaxed);
  }

  std::atomic<pid_t> last_tid_{0};
  std::atomic<unsigned> turns_{0};
  std::atomic<int> score_{0};
  std::atomic<bool> engaged_{false};
  std::atomic<Clock::time_point> not_before_{Clock::time_point{}};
};

}  // namespace shmvisor
