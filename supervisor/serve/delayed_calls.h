// DelayedCalls: calls that a rule makes wait, and what was decided of calls that may come again.
//
// A delayed call stays received and unanswered, and takes no thread; when its time has come it is
// served like one that was just received. So it is when its rule is taken away, and then other
// rules may decide.
//
// Under a filter without WAIT_KILLABLE_RECV a signal makes a call come again under a new id, and
// the old one is void. What was decided of it holds for the new one: a fault does not count it
// anew, and a delay goes on, or is over. Known by its thread and all that it passes, it may come
// again as long as kVoidHolds, in which its signal's handler runs.
//
// Bounds: kMost entries, and of one user fewer than are left for others; further calls are not
// delayed, and not known again. Void entries make room where that is needed, but are looked for
// every kBetweenSearches at most: a search asks the kernel of each.
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
    /// Null where that is of no use.
    std::shared_ptr<const Rule> rule = nullptr;
  };

  /// `alive`: whether the call's caller still waits.
  explicit DelayedCalls(std::function<bool(std::uint64_t id)> alive) : alive_(std::move(alive)) {}

  /// Whether there are any entries.
  [[nodiscard]] bool any() const { return count_.load(std::memory_order_relaxed) != 0; }
  /// False where there is no room for it.
  [[nodiscard]] bool add(const seccomp_notif& call, uid_t user, std::chrono::microseconds delay,
                         const Decided& decided);

  enum class Known : std::uint8_t {
    kNot,
    kWaits,    ///< it waits already, under an id that is void now, and goes on waiting
    kVoid,     ///< its caller calls again already: nobody waits for it
    kDecided,  ///< it is to be answered as was decided
  };
  struct Recalled {
    Known known = Known::kNot;
    Decided decided = {};
  };
  /// Asked of each call before it is judged.
  [[nodiscard]] Recalled recall(const seccomp_notif& call);
  /// A call of which something was decided was answered. `delivered`: false where its caller was
  /// gone, and may come again.
  void answered(const seccomp_notif& call, uid_t user, const Decided& decided, bool delivered);

  /// Of those that wait, those whose rule is not in force any more come next, to be judged anew.
  void release_without_rule(const std::function<bool(const Rule&)>& is_in_force);
  /// A call whose time has come, and whose caller waits.
  [[nodiscard]] std::optional<seccomp_notif> take_due();
  /// Whether take_due() has something to do, if only to forget.
  [[nodiscard]] bool has_due() const;
  /// Until the next time comes; 0 where there are no entries.
  [[nodiscard]] std::chrono::milliseconds time_left() const;

 private:
  enum class State : std::uint8_t {
    kWaits,
    kReleased,  ///< it waits no longer, and nothing is decided of it
    kServed,    ///< taken, and perhaps answered already
    kVoid,      ///< to be known again
  };
  struct Entry {
    seccomp_notif call{};
    uid_t user = 0;
    Decided decided;
    State state = State::kWaits;
    Clock::time_point due;  ///< when it has waited
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
