// CallTally: statistics of calls: how many of each kind, what was refused and why, the slowest
// call, the most segments at a time, and which process made each segment; also for each registry.
//
// Before begin() the tally counts nothing, and costs a call one atomic load. Its counts are exact;
// a follower's are not, since a CallRing may lose calls. The lock is held for moments, and only
// when a segment is made, a call is slower than all before, or a thread serves another registry
// than at its last call. Beyond kMostRegistries at a time, registries that come last have no counts
// of their own.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "policy/base/mutex.h"
#include "supervisor/serve/call_counts.h"
#include "supervisor/serve/call_observer.h"

namespace shmvisor {

class CallTally {
 public:
  static constexpr std::size_t kReasons = CallCounts::kReasons;
  /// The most makers of segments that are remembered.
  static constexpr std::size_t kMostMakers = 65536;
  static constexpr std::size_t kMostRegistries = 1024;

  /// A registry: the number of its session, and its IPC namespace; 0: the one that the session
  /// began with.
  using Place = std::pair<std::uint32_t, std::uint64_t>;

  CallTally();

  void begin() { counting_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool counting() const { return counting_.load(std::memory_order_relaxed); }

  struct Maker {
    pid_t pid = 0;
    std::string command;
    // Of the segment:
    key_t key = 0;
    std::uint64_t size_bytes = 0;
    uid_t uid = 0;
    bool removed = false;  ///< by IPC_RMID, or by an operator
  };
  /// To be called while the caller of a shmget that makes a segment, or of an IPC_RMID, still
  /// waits. Notes nothing if memory runs out.
  void note_maker(const CallRecord& record, std::uint32_t session) noexcept;
  void count(const CallRecord& record, std::uint32_t session) noexcept {
    count({record.origin, record.raw, record.call, record.value, record.denial}, session);
  }
  void count(const RefusedCall& call, std::uint32_t session) noexcept;
  /// Calls that a follower was not told of.
  void note_lost(std::uint64_t calls) { lost_.fetch_add(calls, std::memory_order_relaxed); }

  /// An earlier server's counts are lost.
  void note_takeover() { after_takeover_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool after_takeover() const {
    return after_takeover_.load(std::memory_order_relaxed);
  }
  /// Segments may have come otherwise than by a call: restored, loaded, or of an earlier server.
  /// Notes nothing if memory runs out.
  void note_peak(const Place& place, const Registry& registry) noexcept;

  // Of all registries, also those that have ended:

  [[nodiscard]] CallCounts::Count of(ShmOperation operation) const { return all_.of(operation); }
  [[nodiscard]] std::uint64_t refusals(Denial::Reason reason) const {
    return all_.refusals(reason);
  }
  [[nodiscard]] std::uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }
  /// Segments that were made and not noted: their makers are not known, and peaks may be too small.
  [[nodiscard]] std::uint64_t unnoted() const { return unnoted_.load(std::memory_order_relaxed); }
  struct Slowest {
    ShmOperation operation = ShmOperation::kShmget;
    std::chrono::nanoseconds took{0};
    pid_t pid = 0;
  };
  [[nodiscard]] std::optional<Slowest> slowest() const;
  struct Peak {
    std::uint64_t segments = 0;
    std::uint64_t pages = 0;  ///< perhaps at another time
  };

  // Of one registry:

  /// Null if no call came yet.
  [[nodiscard]] std::shared_ptr<const CallCounts> counts(const Place& place) const;
  [[nodiscard]] Peak peak(std::uint32_t session, std::uint64_t ipc_namespace) const;
  [[nodiscard]] std::optional<Maker> maker(std::uint32_t session, std::uint64_t ipc_namespace,
                                           int shmid) const;

  /// IPC_RMID or an operator has removed the segment. `is_gone`: no process had it attached.
  void note_removed(const Place& place, int shmid, bool is_gone);
  /// The segments, by identifier, that were made, and of whose removal the tally was not told.
  [[nodiscard]] std::map<int, Maker> not_removed(const Place& place) const;

  /// All registries of which the tally remembers something.
  [[nodiscard]] std::vector<Place> places() const;
  /// To be called when a registry has ended.
  void forget(const Place& place);
  /// To be called when a session has ended.
  void forget_session(std::uint32_t session);

 private:
  void remember_maker(const CallRecord& record, std::uint32_t session);
  /// False where the registry has no room here.
  bool raise_peak(const Place& place, const Peak& now) REQUIRES(mutex_);
  std::shared_ptr<CallCounts> counts_for(const Place& place);
  void forget_locked(const Place& place) REQUIRES(mutex_);

  /// Changes at each forget(), and differs between tallies: what threads remember of another epoch
  /// is void.
  std::atomic<std::uint64_t> epoch_;
  std::atomic<bool> counting_{false};
  std::atomic<bool> after_takeover_{false};
  CallCounts all_;
  std::atomic<std::uint64_t> lost_{0};
  std::atomic<std::uint64_t> unnoted_{0};
  std::atomic<std::int64_t> slowest_ns_{0};
  mutable Mutex mutex_;
  Slowest slowest_ GUARDED_BY(mutex_);
  std::map<Place, std::shared_ptr<CallCounts>> counts_ GUARDED_BY(mutex_);
  std::map<Place, Peak> peaks_ GUARDED_BY(mutex_);
  std::map<std::pair<Place, int>, Maker> makers_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
