// LockAccounts: what each user has locked with SHM_LOCK, in pages, over all IPC namespaces.
//
// user_shm_lock() of mm/mlock.c charges the user, wherever the segment is. Two locks at the same
// moment may together pass the limit that each was judged by; the kernel's own count is atomic.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>

#include "policy/base/mutex.h"

namespace shmvisor {

class LockAccounts {
 public:
  [[nodiscard]] std::uint64_t pages_of(uid_t uid) const {
    const MutexLock lock(mutex_);
    const auto found = pages_.find(uid);
    return found == pages_.end() ? 0 : found->second;
  }
  void charge(uid_t uid, std::uint64_t pages) {
    const MutexLock lock(mutex_);
    pages_[uid] += pages;
  }
  /// Precondition: `uid` was charged for them.
  void give_back(uid_t uid, std::uint64_t pages) {
    const MutexLock lock(mutex_);
    const auto account = pages_.find(uid);
    account->second -= pages;
    if (account->second == 0) pages_.erase(account);
  }

 private:
  mutable Mutex mutex_;
  std::map<uid_t, std::uint64_t> pages_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
