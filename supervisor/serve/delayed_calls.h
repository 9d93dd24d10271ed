// DelayedCalls: calls that a rule makes wait, and what was decided of calls that may come again.
//
// A delayed call stays received and unanswered, and takes no thread. When its time has come the
// call is served like a call that was just received. The same happens when its rule is taken away;
// then other rules may decide.
//
// Under a filter without WAIT_KILLABLE_RECV a signal makes a call come again under a new id, and
// the old id is void. What was decided of the call holds under the new id: a fault does not count
// the call anew, and a delay goes on, or is over. A call that comes again is recognised by its
// thread and its arguments. It may do so for kVoidHolds, the time for the signal's handler to run.
//
// Bounds: kMost entries, and of one user fewer than are left for others; further calls are not
// delayed, and not recognised. Void entries are dropped where room is needed. They are searched for
// once in kBetweenSearches at most, since a search asks the kernel about each entry.
//
// Thread rule: any thread.
#pragma once

#include <linux/seccomp.h>
#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "emulation/ipc/denial.h"
#include "policy/base/mutex.h"
#include "policy/rules/rule.h"

namespace shmvisor {

class DelayedCalls {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr std::size_t kMost = 4096;
  static constexpr std::chrono::seconds kVoidHolds{60};
  static constexpr std::chrono::milliseconds kBetweenSearches{50};

  /// What was decided of a call before it began to wait.
  struct Decided {
    int error = 0;  ///< an errno; 0: the call goes on
    Denial denial = {};
    Clock::time_point began = {};
    /// The rule that delays the call; null if none does.
    std::shared_ptr<const Rule> rule = nullptr;
  };

  /// `alive`: whether the call's caller still waits.
  explicit DelayedCalls(std::function<bool(std::uint64_t id)> alive) : alive_(std::move(alive)) {}

  /// Whether there are any entries.
  [[nodiscard]] bool any() const { return count_.load(std::memory_order_relaxed) != 0; }
  /// False if there is no room for the call.
  [[nodiscard]] bool add(const seccomp_notif& call, uid_t user, std::chrono::microseconds delay,
                         const Decided& decided);

  enum class Known : std::uint8_t {
    kNot,
    kWaits,    ///< the call waits already, under an id that is void now, and goes on waiting
    kVoid,     ///< the caller calls again already, and does not wait for this call
    kDecided,  ///< the call is to be answered as was decided
  };
  struct Recalled {
    Known known = Known::kNot;
    Decided decided = {};
  };
  /// To be called for each call before the call is judged.
  [[nodiscard]] Recalled recall(const seccomp_notif& call);
  /// To be called after the answer of a call of which something was decided. `delivered`: false if
  /// its caller was gone, so that the call may come again.
  void answered(const seccomp_notif& call, uid_t user, const Decided& decided, bool delivered);

  /// Waiting calls whose rule is not in force any more become due, to be judged anew.
  void release_without_rule(const std::function<bool(const Rule&)>& is_in_force);
  /// A call whose time has come, and whose caller waits.
  [[nodiscard]] std::optional<seccomp_notif> take_due();
  /// Whether take_due() has something to do, if only to forget an entry.
  [[nodiscard]] bool has_due() const;
  /// The time until an entry is next due; 0 if there are no entries.
  [[nodiscard]] std::chrono::milliseconds time_left() const;

 private:
  enum class State : std::uint8_t {
    kWaits,
    kReleased,  ///< the call waits no longer, and nothing is decided of it
    kServed,    ///< taken, and perhaps answered already
    kVoid,      ///< its id is void; it is recognised if it comes again
  };
  struct Entry {
    seccomp_notif call{};
    uid_t user = 0;
    Decided decided;
    State state = State::kWaits;
    Clock::time_point due;  ///< when the delay is over
    Clock::time_point next_look;
  };
  /// A thread has one call at a time.
  using Entries = std::unordered_map<__u32, Entry>;

  bool insert(const seccomp_notif& call, uid_t user, const Entry& entry) REQUIRES(mutex_);
  Entries::iterator forget(Entries::iterator entry) REQUIRES(mutex_);
  void forget_void() REQUIRES(mutex_);
  void look_again(Entries::iterator entry, Clock::time_point when) REQUIRES(mutex_);
  void make_void(Entries::iterator entry, Clock::time_point now) REQUIRES(mutex_);
  [[nodiscard]] bool has_room_for(uid_t user) const REQUIRES(mutex_);

  const std::function<bool(std::uint64_t id)> alive_;
  std::atomic<std::size_t> count_{0};
  mutable Mutex mutex_;
  Entries entries_ GUARDED_BY(mutex_);
  std::set<std::pair<Clock::time_point, __u32>> looks_ GUARDED_BY(mutex_);  ///< next_look of each
  std::unordered_map<uid_t, std::size_t> of_user_ GUARDED_BY(mutex_);
  Clock::time_point searched_at_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
