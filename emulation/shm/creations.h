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

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <unordered_set>

#include "emulation/abi/shm_abi.h"
#include "emulation/ipc/rw_lock.h"

namespace shmvisor {

class Creations {
 public:
  /// IPC_PRIVATE is never being made: nobody finds it.
  [[nodiscard]] bool of_key(key_t key) const { return keys_.contains(key); }
  [[nodiscard]] std::uint64_t pages() const { return pages_; }

  /// Precondition: !of_key(key).
  void begin(key_t key, std::uint64_t pages) {
    if (key != abi::kIpcPrivate) keys_.insert(key);
    pages_ += pages;
  }
  void end(key_t key, std::uint64_t pages) {
    keys_.erase(key);
    pages_ -= pages;
    ended_.notify_all();
  }
  /// Waits, without the lock, until one ends. False at the deadline.
  bool wait_for_an_end(RwLock& lock, std::chrono::steady_clock::time_point deadline)
      REQUIRES(lock) {
    return ended_.wait_until(lock, deadline) == std::cv_status::no_timeout;
  }

 private:
  std::unordered_set<key_t> keys_;
  std::uint64_t pages_ = 0;
  std::condition_variable_any ended_;
};

}  // namespace shmvisor
