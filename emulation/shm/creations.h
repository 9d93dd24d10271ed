// Creations: the segments of one registry that are being made, by key and size.
//
// The kernel makes a segment under the lock of its namespace (ipcget_public(), newseg()), so that
// the next creator finds it, or finds that there is none. Making memory may take long here, so it
// is done without a lock: the key and the pages are reserved meanwhile. Who wants the same key, or
// pages that are only missing because of a reservation, waits until it ends, as in the kernel, and
// decides then.
//
// Thread rule: all members with the registry's lock held exclusively.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <unordered_set>
#include <utility>
#include <vector>

#include "emulation/abi/shm_abi.h"
#include "emulation/ipc/rw_lock.h"

namespace shmvisor {

/// Of one user in one registry.
struct UserUsage {
  std::uint64_t segments = 0;
  std::uint64_t pages = 0;
};

class Creations {
 public:
  /// IPC_PRIVATE is never being made: nobody finds it.
  [[nodiscard]] bool of_key(key_t key) const { return keys_.contains(key); }
  [[nodiscard]] std::uint64_t pages() const { return pages_; }
  /// What one user is making.
  [[nodiscard]] UserUsage of_user(uid_t user) const {
    UserUsage sum;
    for (const auto& [maker, pages] : of_users_) {
      if (maker != user) continue;
      ++sum.segments;
      sum.pages += pages;
    }
    return sum;
  }

  /// Precondition: !of_key(key). `user`: Caller::account().
  void begin(key_t key, std::uint64_t pages, uid_t user) {
    of_users_.emplace_back(user, pages);
    if (key != abi::kIpcPrivate) {
      try {
        keys_.insert(key);
      } catch (...) {
        of_users_.pop_back();
        throw;
      }
    }
    pages_ += pages;
  }
  void end(key_t key, std::uint64_t pages, uid_t user) {
    keys_.erase(key);
    pages_ -= pages;
    of_users_.erase(std::find(of_users_.begin(), of_users_.end(), std::pair(user, pages)));
    ended_.notify_all();
  }
  /// Waits, without the lock, until one ends. False at the deadline.
  bool wait_for_an_end(RwLock& lock, std::chrono::steady_clock::time_point deadline)
      REQUIRES(lock) {
    HeldLocks::assert_may_wait(&lock);
    return ended_.wait_until(lock, deadline) == std::cv_status::no_timeout;
  }

 private:
  std::unordered_set<key_t> keys_;
  std::vector<std::pair<uid_t, std::uint64_t>> of_users_;  ///< and pages: as many as threads
  std::uint64_t pages_ = 0;
  std::condition_variable_any ended_;
};

}  // namespace shmvisor
