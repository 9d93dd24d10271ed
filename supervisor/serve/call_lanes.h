// CallLanes: calls of many callers at once, served by a few threads of which each has callers of
// its own.
//
// The kernel hands the CPU from a caller to the thread that serves it and back within microseconds
// (SYNC_WAKE_UP), and moves the caller to the CPU of the thread that answers it. A caller that is
// served by this thread now and by that one then moves at each call, and its next call wakes yet
// another CPU: on two CPUs that costs more than the second one gives. So a caller keeps to a
// *lane*: one thread serves it, on one CPU. The kernel hands out calls in the order of their
// coming, to whichever thread asks. One that received another lane's call puts it into that lane.
//
// A lane has a thread for as long as that serves only what is short. A thread that may be kept, or
// that finds nothing to do, leaves its lane; whoever looks next takes what was left there. A lane
// whose thread is kept unexpectedly is taken from it by the watchdog.
//
// Thread rule: any thread. `Thread` is any address that stands for the calling thread.
#pragma once

#include <linux/seccomp.h>
#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "policy/base/mutex.h"

namespace shmvisor {

class CallLanes {
 public:
  using Thread = const void*;
  static constexpr std::size_t kMost = 8;
  /// Calls in a lane; a thread that receives another one serves it itself.
  static constexpr std::size_t kMostCalls = 32;

  /// `count`: of lanes, one for each CPU; there are kMost at most.
  explicit CallLanes(std::size_t count);

  [[nodiscard]] std::size_t count() const { return count_; }
  /// Lanes that have a thread.
  [[nodiscard]] std::size_t taken() const { return taken_.load(std::memory_order_relaxed); }

  /// Gives the thread a lane, if it has none. The lane's number; nothing where each lane has
  /// another thread.
  std::optional<std::size_t> enter(Thread thread);
  /// The thread serves this lane no longer. True where calls are left there: somebody must be made
  /// to look.
  bool leave(Thread thread);
  /// The thread is about to block where it does not see what is put into its lane, or is back.
  void set_away(Thread thread, bool away);

  /// Puts a call that `thread` received into the lane of its caller. False where the thread itself
  /// is to serve it, because the caller is in its lane or gets there, or because the other lane's
  /// thread cannot.
  bool hand_over(const seccomp_notif& call, Thread thread);
  /// The next call of the thread's lane, or of one that was left; its thread gets that lane then,
  /// if it has none.
  std::optional<seccomp_notif> next(Thread thread);
  /// A call of a lane where two wait at least: its caller moves into that of `thread`, which has
  /// nothing to do.
  std::optional<seccomp_notif> steal(Thread thread);
  /// Whether calls are in any lane.
  [[nodiscard]] bool any_calls() const { return calls_.load(std::memory_order_relaxed) != 0; }

  /// Takes lanes from threads that have taken no call since this was last asked, though some waited
  /// there then. Whether any lane without a thread has calls.
  bool release_stuck();

 private:
  static constexpr auto kNeverLooked = std::numeric_limits<std::uint64_t>::max();
  struct Lane {
    Thread thread = nullptr;
    bool away = false;
    std::vector<seccomp_notif> calls;  ///< few
    std::uint64_t taken_out = 0;       ///< of calls
    /// How many that were when release_stuck() was last asked, if calls waited.
    std::uint64_t looked_at = kNeverLooked;
    int callers = 0;  ///< that are at home here, about
  };
  struct Home {
    pid_t tid = 0;
    std::uint8_t lane = 0;
  };

  [[nodiscard]] Lane* lane_of(Thread thread) REQUIRES(mutex_);
  void take(Lane& lane, Thread thread) REQUIRES(mutex_);
  /// Where the caller's home is kept, or that of another whose place it would take.
  Home& home_of(pid_t tid) REQUIRES(mutex_);
  void move(Home& home, pid_t tid, Lane& lane) REQUIRES(mutex_);
  seccomp_notif take_out(Lane& lane) REQUIRES(mutex_);

  const std::size_t count_;
  std::atomic<std::size_t> taken_{0};
  std::atomic<std::size_t> calls_{0};
  Mutex mutex_;
  std::array<Lane, kMost> lanes_ GUARDED_BY(mutex_);
  /// By tid, modulo its size: what is overwritten gets a home anew.
  std::array<Home, 64> homes_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
