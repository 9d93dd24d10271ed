#include "supervisor/procfiles/open_file_shares.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "policy/limits/fair_share.h"

namespace shmvisor {

bool OpenFileShares::take(uid_t user) {
  const MutexLock lock(mutex_);
  const auto known = of_user_.find(user);
  const std::size_t has = known == of_user_.end() ? 0 : known->second;
  if (!within_fair_share(has, kMost - all_)) {
    if (!std::exchange(told_, true)) {
      spdlog::warn("user {} has {} files of /proc open and gets no more: ENFILE", user, has);
    }
    return false;
  }
  ++of_user_[user];
  ++all_;
  return true;
}

void OpenFileShares::give_back(uid_t user) {
  const MutexLock lock(mutex_);
  --all_;
  const auto of_user = of_user_.find(user);
  if (--of_user->second == 0) of_user_.erase(of_user);
}

}  // namespace shmvisor
