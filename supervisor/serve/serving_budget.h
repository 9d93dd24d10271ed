// ServingBudget: how many calls may be served at the same time, of all listeners of this process
// together, and how many of them may be one user's. The first call of each user at each listener is
// not counted: most calls are that, and they need not come here.
//
// A call in service has a thread, and some descriptors (DescriptorPlan::kOfACall). A caller can
// make its call last: by memory that a userfaultfd holds back, by a tracer, by an exec that does
// not end. So a user gets one more call served while fewer of its calls are served than are free:
// who takes all it can get leaves a half to others, the next one a quarter.
//
// Charged is the user of accountable_user.h; users of different groups of containers are different
// payers, whatever their numbers.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <map>
#include <mutex>

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

  /// Counts one more call, if it may be.
  [[nodiscard]] bool take(const Payer& payer);
  /// Once for each call that was counted.
  void give_back(const Payer& payer);

 private:
  const int most_at_once_;
  std::mutex mutex_;
  int served_ = 0;
  std::map<Payer, int> served_of_;
};

}  // namespace shmvisor
