// RecentPids: which pids may belong to processes that the last listing of /proc did not show.
//
// The kernel tells the last pid that it gave out (LastPid). All that were given out since the
// listing may be new processes. So may those from a second before it: a process that is in the
// middle of its birth then has its number already, and is not shown yet.
//
// A listing holds for 50 ms. In that time no machine gives out all pids, after which the last one
// would look as if none had been given out. And a process whose birth takes more than a second, or
// whose pid was chosen by clone3(2) with set_tid, is missed no longer than that; or not at all,
// once it has attached something itself (SupervisedScope::note_served()).
//
// Thread rule: one thread at a time.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

namespace shmvisor {

class RecentPids {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kListingHolds{50};
  static constexpr std::chrono::milliseconds kLongestBirth{1000};

  /// `last`: the last pid given out, as just read. Nothing: as if this had never been called.
  void note(Clock::time_point now, std::optional<pid_t> last);

  /// The pids that may belong to processes which a listing begun at `listed` did not show. Nothing
  /// where /proc is to be listed again, also where they would be more than `most`.
  [[nodiscard]] std::optional<std::vector<pid_t>> since(Clock::time_point listed,
                                                        std::size_t most) const;

 private:
  struct Sample {
    Clock::time_point when;
    pid_t last = 0;
  };
  /// In the order of time. The first is older than any birth that counts, once there is such a one.
  std::deque<Sample> samples_;
  std::optional<Sample> newest_;
};

}  // namespace shmvisor
