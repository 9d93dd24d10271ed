// Turns: so many at a time, and those who wait in the order in which they came.
//
// A std::counting_semaphore lets whoever comes at the right moment go first, so that a crowd could
// keep one caller waiting for ever.
//
// Thread rule: any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>

namespace shmvisor {

class Turns {
 public:
  explicit Turns(int at_a_time) : free_(at_a_time) {}

  /// False where the turn does not come in time. Otherwise give_back() is to follow.
  [[nodiscard]] bool take(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    if (free_ > 0 && waiting_.empty()) {
      --free_;
      return true;
    }
    const auto self = waiting_.emplace(waiting_.end());
    const bool came = self->came.wait_for(lock, patience, [&] { return self->has_turn; });
    waiting_.erase(self);
    return came;
  }

  void give_back() {
    const std::lock_guard lock(mutex_);
    for (Waiter& waiter : waiting_) {
      if (waiter.has_turn) continue;
      waiter.has_turn = true;
      waiter.came.notify_one();
      return;
    }
    ++free_;
  }

 private:
  struct Waiter {
    std::condition_variable came;
    bool has_turn = false;
  };

  std::mutex mutex_;
  int free_;
  std::list<Waiter> waiting_;
};

}  // namespace shmvisor
