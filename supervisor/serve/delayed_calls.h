// DelayedCalls: calls that a rule makes wait. They stay received and unanswered, and take no
// thread; when its time has come a call is served like one that was just received.
//
// Bounds: kMost calls, and of one user fewer than are left for others; further ones are not
// delayed. A call whose caller has died is forgotten when its time has come, or when the room is
// needed. Under a filter without WAIT_KILLABLE_RECV a signal makes the call come again under a new
// id: then it goes on waiting, and does not begin anew.
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
#include <list>
#include <optional>

#include "emulation/ipc/denial.h"
#include "policy/base/mutex.h"

namespace shmvisor {

class DelayedCalls {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr std::size_t kMost = 4096;

  /// What was decided of a call before it began to wait.
  struct Decided {
    int error = 0;  ///< an errno; 0: the call goes on
    Denial denial = {};
    Clock::time_point began = {};
  };

  /// `alive`: whether the call's caller still waits.
  explicit DelayedCalls(std::function<bool(std::uint64_t id)> alive) : alive_(std::move(alive)) {}

  /// Whether there are any, also such that are being served.
  [[nodiscard]] bool any() const { return count_.load(std::memory_order_relaxed) != 0; }
  /// False where there is no room for it.
  [[nodiscard]] bool add(const seccomp_notif& call, uid_t user, std::chrono::microseconds delay,
                         const Decided& decided);
  /// Of a call that take_due() gave, once.
  [[nodiscard]] std::optional<Decided> take_decided(std::uint64_t id);
  /// Whether the call is one that waits already, under an id that is void.
  [[nodiscard]] bool comes_again(const seccomp_notif& call);

  /// A call whose time has come, and whose caller waits.
  [[nodiscard]] std::optional<seccomp_notif> take_due();
  [[nodiscard]] bool has_due() const;
  /// Until the next time comes; 0 where nothing waits.
  [[nodiscard]] std::chrono::milliseconds time_left() const;

 private:
  struct Entry {
    seccomp_notif call{};
    uid_t user = 0;
    Clock::time_point due;
    Decided decided;
    bool served = false;
  };
  using Entries = std::list<Entry>;

  Entries::iterator forget(Entries::iterator entry) REQUIRES(mutex_);
  void forget_dead() REQUIRES(mutex_);
  [[nodiscard]] bool has_room_for(uid_t user) const REQUIRES(mutex_);

  const std::function<bool(std::uint64_t id)> alive_;
  std::atomic<std::size_t> count_{0};
  mutable Mutex mutex_;
  Entries entries_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
