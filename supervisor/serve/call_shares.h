// CallShares: which of the calls that one listener announces are served now, and which wait.
//
// NOTIF_RECV hands out calls of anybody in the order in which they were made. A call of a user who
// has its share of calls in service (ServingBudget, and the same rule for the threads of this
// listener) is put aside: it stays received and unanswered, and takes no thread. It is served when
// another call is over, here or at another listener, or when there are more threads. Of each user
// only so many are put aside; further ones are refused.
//
// A user's first call at a listener is always within the share, so that none waits for what happens
// elsewhere: while calls are aside, some are in service. Among those who wait, whoever has the
// fewest calls in service comes first, of those that may have one more.
//
// Ownership: borrows the budget. Thread rule: any thread.
#pragma once

#include <linux/seccomp.h>
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <unordered_map>

#include "policy/base/mutex.h"
#include "supervisor/serve/serving_budget.h"

namespace shmvisor {

class CallShares {
 public:
  /// Calls of one user that are put aside at most: as many as it may well have threads, since who
  /// is refused calls again at once, before others whose calls wait to be received. 3 MiB.
  static constexpr std::size_t kMostWaitingOfUser = 32768;

  using Clock = std::chrono::steady_clock;
  /// Who waits longer waits for calls that somebody keeps.
  static constexpr std::chrono::seconds kLongWait{1};

  /// `group`: of the payers. `most_at_once`: calls of this listener in service. `alive`: whether a
  /// call still waits. `resume`: calls that are aside may be served now, perhaps: to be asked of
  /// can_resume() soon, from another thread. It waits for nothing, and calls none of these.
  CallShares(ServingBudget& budget, std::uint32_t group, int most_at_once,
             std::function<bool(const seccomp_notif&)> alive, std::function<void()> resume)
      : budget_(budget),
        group_(group),
        alive_(std::move(alive)),
        resume_(std::move(resume)),
        most_at_once_(most_at_once),
        waiter_(budget, resume_) {}
  CallShares(const CallShares&) = delete;
  CallShares& operator=(const CallShares&) = delete;
  enum class Admission : std::uint8_t {
    kServe,    ///< counted as in service; leave() when it is over
    kAside,    ///< leave() will give it back, and it is not to be answered before
    kStuck,    ///< the same, and another call of the user waits for a kLongWait already
    kRefused,  ///< to be answered with an error
  };
  /// `now`: asked of the clock where it is needed, unless it is given.
  Admission arrive(uid_t user, const seccomp_notif& call,
                   std::optional<Clock::time_point> now = std::nullopt);

  struct Next {
    uid_t user = 0;
    seccomp_notif call{};
  };
  /// A call of the user is over. The call that is to be served next instead, counted as in service;
  /// nothing where none waits that may be.
  std::optional<Next> leave(uid_t user);
  /// Whether resume() would give a call.
  [[nodiscard]] bool can_resume();
  /// A call that was put aside and may be served now, counted as in service.
  std::optional<Next> resume();

  /// No more threads are to be had than for so many calls; at least one.
  void limit_to(int most_at_once);

 private:
  struct Aside {
    seccomp_notif call{};
    Clock::time_point since;
  };
  struct Account {
    int served = 0;
    std::deque<Aside> aside;
    std::size_t refused_since_look = 0;
  };

  /// Accounts without a call that are kept, for the next one.
  static constexpr std::size_t kMostIdle = 64;

  using Accounts = std::unordered_map<uid_t, Account>;

  /// Whether there are threads for one more call of it.
  [[nodiscard]] bool has_threads_for(const Account& account) const REQUIRES(mutex_);
  /// Counts one more call of the user, if it may be served now.
  bool admit(uid_t user, Account& account) REQUIRES(mutex_);
  /// The call that is to be served next.
  std::optional<Next> take_next() REQUIRES(mutex_);
  /// Of those who wait, the first for whom `may` is true, of the user and the account; null for
  /// none.
  template <typename May>
  Accounts::value_type* first_that(May may) REQUIRES(mutex_);
  /// Forgets calls whose callers are gone, if it was not tried just now.
  void make_room(Account& account) REQUIRES(mutex_);
  void count_out_of_aside(std::size_t calls) REQUIRES(mutex_);

  ServingBudget& budget_;
  const std::uint32_t group_;
  const std::function<bool(const seccomp_notif&)> alive_;
  const std::function<void()> resume_;
  Mutex mutex_;  ///< before the budget's
  int most_at_once_ GUARDED_BY(mutex_);
  int served_ GUARDED_BY(mutex_) = 0;
  std::size_t aside_ GUARDED_BY(mutex_) = 0;
  Accounts accounts_ GUARDED_BY(mutex_);
  ServingBudget::Waiter waiter_;  ///< waits while calls are aside, at most
};

}  // namespace shmvisor
