// CallShares: which of the calls that one listener announces are served now, and which wait.
//
// NOTIF_RECV hands out the calls of all users in the order in which they were made. When a user has
// its share of calls in service (ServingBudget, and the same rule for the threads of this
// listener), its further calls are put aside: they stay received and unanswered, and take no
// thread. A call put aside is served when another call ends, here or at another listener, or when
// there are more threads. At most kMostWaitingOfUser calls of a user are put aside; further ones
// are refused.
//
// A user's first call at a listener is always within the share. So while calls are aside, other
// calls of this listener are in service, and no listener waits for another. Of the waiting users
// that may have one more call in service, the user with the fewest calls in service comes first.
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
  /// The most calls of one user that are put aside: as many as the user may have threads. A refused
  /// caller could call again at once, ahead of calls that wait to be received. Takes 3 MiB.
  static constexpr std::size_t kMostWaitingOfUser = 32768;

  using Clock = std::chrono::steady_clock;
  /// A longer wait means that some process keeps calls from ending.
  static constexpr std::chrono::seconds kLongWait{1};

  /// `group`: of the payers. `most_at_once`: the most calls of this listener in service. `alive`:
  /// whether a call still waits. `resume`: called when calls that are aside may perhaps be served;
  /// another thread then has to ask can_resume() soon. `resume` must not wait, nor call a member of
  /// this object.
  /// `room`: how many more calls may wait at all. Of this listener no more are put aside than that,
  /// whatever users it has. Null: there is no such bound.
  CallShares(ServingBudget& budget, std::uint32_t group, int most_at_once,
             std::function<bool(const seccomp_notif&)> alive, std::function<void()> resume,
             std::size_t most_waiting_of_user = kMostWaitingOfUser,
             std::function<std::size_t()> room = nullptr)
      : budget_(budget),
        group_(group),
        alive_(std::move(alive)),
        resume_(std::move(resume)),
        most_waiting_of_user_(most_waiting_of_user),
        room_(std::move(room)),
        most_at_once_(most_at_once),
        waiter_(budget, resume_) {}
  CallShares(const CallShares&) = delete;
  CallShares& operator=(const CallShares&) = delete;
  enum class Admission : std::uint8_t {
    kServe,    ///< counted as in service; leave() when it has ended
    kAside,    ///< leave() will give the call back; it must not be answered before
    kStuck,    ///< the same, and another call of the user waits for a kLongWait already
    kRefused,  ///< to be answered with an error
  };
  /// `now`: read from the clock if it is not given, and needed.
  Admission arrive(uid_t user, const seccomp_notif& call,
                   std::optional<Clock::time_point> now = std::nullopt);

  struct Next {
    uid_t user = 0;
    seccomp_notif call{};
  };
  /// Who serves a call that may be served now.
  enum class Successor : std::uint8_t {
    kThisThread,
    kAnother,  ///< whoever calls resume() soon
  };
  /// A call of the user has ended. Returns the call that this thread is to serve next, counted as
  /// in service.
  std::optional<Next> leave(uid_t user, Successor successor = Successor::kThisThread);
  /// Whether resume() would return a call.
  [[nodiscard]] bool can_resume();
  /// A call that was put aside and may be served now, counted as in service.
  std::optional<Next> resume();

  /// There are threads for this many calls only; at least one.
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

  /// The most accounts without a call that are kept for a next call.
  static constexpr std::size_t kMostIdle = 64;

  using Accounts = std::unordered_map<uid_t, Account>;

  /// Whether there are threads for one more call of the account.
  [[nodiscard]] bool has_threads_for(const Account& account) const REQUIRES(mutex_);
  /// Counts one more call of the user, if it may be served now.
  bool admit(uid_t user, Account& account) REQUIRES(mutex_);
  /// The call that is to be served next.
  std::optional<Next> take_next() REQUIRES(mutex_);
  /// The first waiting user for whom `may(user, account)` is true; null for none.
  template <typename May>
  Accounts::value_type* first_that(May may) REQUIRES(mutex_);
  /// Whether one more of its calls may be put aside.
  [[nodiscard]] bool may_wait(const Account& account) const REQUIRES(mutex_);
  /// Forgets calls whose callers are gone, unless that was tried just now for this account.
  void make_room(Account& account) REQUIRES(mutex_);
  void count_out_of_aside(std::size_t calls) REQUIRES(mutex_);

  ServingBudget& budget_;
  const std::uint32_t group_;
  const std::function<bool(const seccomp_notif&)> alive_;
  const std::function<void()> resume_;
  const std::size_t most_waiting_of_user_;
  const std::function<std::size_t()> room_;
  Mutex mutex_;  ///< before the budget's
  int most_at_once_ GUARDED_BY(mutex_);
  int served_ GUARDED_BY(mutex_) = 0;
  std::size_t aside_ GUARDED_BY(mutex_) = 0;
  Accounts accounts_ GUARDED_BY(mutex_);
  ServingBudget::Waiter waiter_;  ///< waits at most while calls are aside
};

}  // namespace shmvisor
