// ServingBudget: bounds the calls in service of all listeners of this process together, and those
// of each user. The first call of each user at each listener is not counted: most calls are first
// calls, and skip the budget.
//
// A call in service has a thread, and some descriptors (DescriptorPlan::kOfACall). A caller can
// make its call last: by memory that a userfaultfd holds back, by a tracer, by an exec that does
// not end. So a user gets one more call served while fewer of its calls are in service than places
// are free: a user that takes all it can get leaves a half to others, the next such user a quarter.
//
// The user of accountable_user.h is charged; users of different groups of containers are different
// payers, whatever their uids.
//
// A Waiter that was refused a call is told when one is given back.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <utility>

#include "policy/base/mutex.h"

namespace shmvisor {

class ServingBudget {
 public:
  struct Payer {
    std::uint32_t group = 0;
    uid_t user = 0;

    friend auto operator<=>(const Payer&, const Payer&) = default;
  };

  explicit ServingBudget(int most_at_once) : most_at_once_(most_at_once) {}
  ServingBudget(const ServingBudget&) = delete;
  ServingBudget& operator=(const ServingBudget&) = delete;

  /// Is told once for each refusal, when a call has been given back.
  class Waiter {
   public:
    /// `told` is called with the budget's lock held, from any thread. It must wait for nothing.
    Waiter(ServingBudget& budget, std::function<void()> told)
        : budget_(budget), told_(std::move(told)), node_{this}, place_(node_.begin()) {}
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    ~Waiter() { withdraw(); }

    /// Stops waiting; `told` is not called after this.
    void withdraw();

   private:
    friend class ServingBudget;

    ServingBudget& budget_;
    const std::function<void()> told_;
    std::list<Waiter*> node_;  ///< the Waiter's one list entry, while the budget's list has it not
    const std::list<Waiter*>::iterator place_;
  };

  // False if the call may not be counted, or there is no memory to count it; `refused` waits then.

  /// Counts one more call.
  [[nodiscard]] bool take(const Payer& payer, Waiter& refused) noexcept;
  /// Whether one more call would be counted now.
  [[nodiscard]] bool has_room(const Payer& payer, Waiter& refused) noexcept;

  /// Once for each call that was counted.
  void give_back(const Payer& payer);

 private:
  [[nodiscard]] bool may_have_one_more(const Payer& payer) const REQUIRES(mutex_);
  void let_wait(Waiter& refused) REQUIRES(mutex_);

  const int most_at_once_;
  Mutex mutex_;
  int served_ GUARDED_BY(mutex_) = 0;
  std::map<Payer, int> served_of_ GUARDED_BY(mutex_);
  std::list<Waiter*> waiters_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
