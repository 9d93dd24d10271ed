#include "supervisor/procfiles/cover_shares.h"

#include <unistd.h>

#include <algorithm>

namespace shmvisor {

CoverShares::CoverShares() : our_user_(::geteuid()) {}

std::optional<std::vector<long>> CoverShares::ask(const Account& account,
                                                  Clock::time_point now) const {
  std::vector<long> its_covers;
  if (!is_bounded(account.user)) return its_covers;
  const MutexLock lock(mutex_);
  for (const Refusal& refusal : refusals_) {
    if (refusal.account == account && now - refusal.at < kRefusedFor) return std::nullopt;
  }
  for (const Cover& cover : covers_) {
    if (cover.account == account) its_covers.push_back(cover.mount);
  }
  return its_covers;
}

void CoverShares::gone(const Account& account, long mount) {
  const MutexLock lock(mutex_);
  std::erase_if(covers_, [&](const Cover& cover) {
    return cover.mount == mount && cover.account == account;
  });
}

void CoverShares::added(const Account& account, std::span<const long> mounts) {
  if (mounts.empty()) return;
  const MutexLock lock(mutex_);
  std::erase_if(covers_, [mounts](const Cover& cover) {
    return std::find(mounts.begin(), mounts.end(), cover.mount) != mounts.end();
  });
  if (!is_bounded(account.user)) return;
  if (covers_.size() >= kMostRemembered) covers_.pop_front();
  covers_.push_back({account, mounts.front()});
}

void CoverShares::refused(const Account& account, Clock::time_point now) {
  const MutexLock lock(mutex_);
  std::erase_if(refusals_, [&](const Refusal& refusal) { return refusal.account == account; });
  if (refusals_.size() >= kMostRefusals) refusals_.pop_front();
  refusals_.push_back({account, now});
}

}  // namespace shmvisor
