// ServingBudget: how many calls may be served at the same time, of all listeners of this process
// together, and how many of them may be one user's.
//
// A call in service has a thread, and some descriptors (DescriptorPlan::kOfACall). A caller can
// make its call last: by memory that a userfaultfd holds back, by a tracer, by an exec that does
// not end. So a user gets one more call served while fewer of its calls are served than are free:
// who takes all it can get leaves a half to others, the next one a quarter.
//
// Charged is the user of accountable_user.h.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <mutex>
#include <unordered_map>

namespace shmvisor {

class ServingBudget {
 public:
  explicit ServingBudget(int most_at_once) : most_at_once_(most_at_once) {}
  ServingBudget(const ServingBudget&) = delete;
  ServingBudget& operator=(const ServingBudget&) = delete;

  /// Counts one more call of the user, if it may be.
  [[nodiscard]] bool take(uid_t user);
  /// Counts it whatever the share.
  void take_anyway(uid_t user);
  /// Once for each call that was counted.
  void give_back(uid_t user);

 private:
  const int most_at_once_;
  std::mutex mutex_;
  int served_ = 0;
  std::unordered_map<uid_t, int> served_of_user_;
};

}  // namespace shmvisor
