// LanePin: keeps the calling thread on a CPU of its own, for as long as it serves a lane.
//
// Threads that stay awake, and whose callers come to where they are, would stay on one CPU for as
// long as the kernel sees no reason to part them: milliseconds at best. Failing to pin is no error.
//
// Thread rule: made and destroyed by the thread that it pins.
#pragma once

#include <sched.h>

#include <cstddef>

namespace shmvisor {

class LanePin {
 public:
  /// To the CPU number `lane` of those that the thread may use.
  explicit LanePin(std::size_t lane) {
    if (::sched_getaffinity(0, sizeof(before_), &before_) != 0) return;
    const auto count = static_cast<std::size_t>(CPU_COUNT(&before_));
    std::size_t left = count == 0 ? 0 : lane % count;
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &before_) || left-- != 0) continue;
      cpu_set_t only;
      CPU_ZERO(&only);
      CPU_SET(cpu, &only);
      pinned_ = ::sched_setaffinity(0, sizeof(only), &only) == 0;
      return;
    }
  }
  LanePin(const LanePin&) = delete;
  LanePin& operator=(const LanePin&) = delete;
  ~LanePin() {
    if (pinned_) ::sched_setaffinity(0, sizeof(before_), &before_);
  }

 private:
  cpu_set_t before_{};
  bool pinned_ = false;
};

}  // namespace shmvisor
