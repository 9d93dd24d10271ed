// ServingBudget: bounds the calls in service of all listeners of this process together, and those
// of each user. The first call of each user at each listener is not counted: most calls are such,
// and skip the budget.
//
// A call in service has a thread, and some descriptors (DescriptorPlan::kOfACall). A caller can
// make its call last: by memory that a userfaultfd holds back, by a tracer, by an exec that does
// not end. So a user gets one more call served while fewer of its calls are served than are free:
// who takes all it can get leaves a half to others, the next one a quarter.
//
// Charged is the user of accountable_user.h; users of different groups of containers are different
// payers, whatever their numbers.
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
    /// `told` is called with the budget's lock held, from any thread. It waits for nothing.
    Waiter(ServingBudget& budget, std::function<void()> told)
        : budget_(budget), told_(std::move(told)), node_{this}, place_(node_.begin()) {}
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    ~Waiter() { withdraw(); }

    /// Stops waiting; it is not told after this.
    void withdraw();

   private:
    friend class ServingBudget;

    ServingBudget& budget_;
    const std::function<void()> told_;
    std::list<Waiter*> node_;  ///< its one entry, while that is not in the budget's list
    const std::list<Waiter*>::iterator place_;
  };

  // False where it may not be, or there is no memory to count it; `refused` waits then.

  /// Counts one more call.
  [[nodiscard]] bool take(const Payer& payer, Waiter& refused) noexcept;
  /// Whether one more would be counted now.
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
