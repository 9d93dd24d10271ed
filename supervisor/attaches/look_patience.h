// LookPatience: the time that all looks of one count (ProcessLook) may take beyond what ordinary
// processes take.
//
// The first process that keeps a look, or is long, gets the more time; the others, when that is
// used up, what an ordinary process takes ten times.
//
// Thread rule: one thread.
#pragma once

#include <chrono>

namespace shmvisor {

struct LookPatience {
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kLeast{1};

  std::chrono::nanoseconds most_time;  ///< of all, on a busy machine
  Clock::time_point began = Clock::now();
  std::chrono::nanoseconds wait_left = std::chrono::milliseconds(12);  ///< for locks
  /// CPU time, of looks that take long (KnownMappings::kSlow) for other reasons than what they
  /// count.
  std::chrono::nanoseconds work_left = std::chrono::milliseconds(25);
  int given_up = 0;

  [[nodiscard]] bool over() const;
  /// CPU time for the next process.
  [[nodiscard]] std::chrono::nanoseconds work_for_one() const;
  /// Waiting time for it.
  [[nodiscard]] std::chrono::nanoseconds wait_for_one() const;
  void charge(std::chrono::nanoseconds worked);
  void charge_wait(std::chrono::nanoseconds waited);
  /// Whether processes are now given up soon.
  [[nodiscard]] bool in_a_hurry() const { return work_left.count() == 0 || wait_left.count() == 0; }
};

}  // namespace shmvisor
