// OpenFileShares: how many of our files in /proc may be open, in all mounts that this process
// serves, and how many of them may be one user's: that of accountable_user.h.
//
// 4096 in all, of 1 to 16 KiB each. One user may open another while fewer are its than are free: so
// the first who opens all that it can leaves a half, the next one a quarter, and always something
// for others.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <unordered_map>

#include "policy/base/mutex.h"

namespace shmvisor {

class OpenFileShares {
 public:
  static constexpr std::size_t kMost = 4096;

  /// Counts one more, if it may be; the log tells once who has its share.
  [[nodiscard]] bool take(uid_t user);
  /// Once for each that was counted.
  void give_back(uid_t user);

 private:
  Mutex mutex_;
  std::unordered_map<uid_t, std::size_t> of_user_ GUARDED_BY(mutex_);
  std::size_t all_ GUARDED_BY(mutex_) = 0;
  bool told_ GUARDED_BY(mutex_) = false;
};

}  // namespace shmvisor
