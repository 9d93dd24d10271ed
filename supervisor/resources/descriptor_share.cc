#include "supervisor/resources/descriptor_share.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>

#include "supervisor/log/limited_log.h"

namespace shmvisor {

DescriptorShare::DescriptorShare(DescriptorPool& pool, Group group)
    : pool_(pool), group_(group), our_user_(::geteuid()) {}

std::optional<DescriptorShare::Part> DescriptorShare::take(uid_t user, std::int64_t count,
                                                           Refusal* refusal) {
  std::optional<Refusal> refused;
  {
    const MutexLock lock(mutex_);
    refused = refuses(user, count);
    if (!refused) {
      accounts_[user].taken += count;
      taken_ += count;
      pool_.taken_.fetch_add(count);
    }
  }
  if (!refused) return Part(*this, user, count);
  tell_of(*refused, user);
  if (refusal != nullptr) *refusal = *refused;
  return std::nullopt;
}

std::optional<DescriptorShare::Refusal> DescriptorShare::refuses(uid_t user,
                                                                 std::int64_t count) const {
  const std::int64_t left = std::max<std::int64_t>(pool_.left(), 0);
  if (count > left) return Refusal{Refusal::Of::kPool, taken_, taken_ + left};
  // What the group has at most, once it has taken all that it can get.
  const std::int64_t group_most = group_ == Group::kOnly ? taken_ + left : (taken_ + left + 1) / 2;
  if (taken_ + count > group_most) return Refusal{Refusal::Of::kGroup, taken_, group_most};
  if (user == our_user_) return std::nullopt;
  const auto known = accounts_.find(user);
  const std::int64_t has = known == accounts_.end() ? 0 : known->second.taken;
  const std::int64_t user_most = (has + group_most - taken_ + 1) / 2;
  if (has + count > user_most) return Refusal{Refusal::Of::kUser, has, user_most};
  return std::nullopt;
}

void DescriptorShare::add(std::int64_t count) {
  const MutexLock lock(mutex_);
  taken_ += count;
  pool_.taken_.fetch_add(count);
}

void DescriptorShare::charge(uid_t user, std::int64_t count) {
  const MutexLock lock(mutex_);
  taken_ += count;
  pool_.taken_.fetch_add(count);
  const auto account = accounts_.find(user);
  account->second.taken += count;
  if (account->second.taken == 0) accounts_.erase(account);
}

void DescriptorShare::tell_of(const Refusal& refusal, uid_t user) {
  switch (refusal.of) {
    case Refusal::Of::kPool:
      if (told_of_pool_.test_and_set()) return;
      spdlog::warn(
          "no new segment: out of file descriptors; raise the RLIMIT_NOFILE (ulimit -n) limit");
      return;
    case Refusal::Of::kGroup:
      if (told_of_group_.test_and_set()) return;
      spdlog::warn(
          "a container has {} descriptors, for segments and IPC namespaces, and gets no more, so "
          "that others do; raise RLIMIT_NOFILE (ulimit -n)",
          refusal.has);
      return;
    case Refusal::Of::kUser: {
      {
        const MutexLock lock(mutex_);
        const auto known = accounts_.find(user);
        if (known != accounts_.end() && std::exchange(known->second.told, true)) return;
      }
      log_limited(spdlog::level::warn, LogTopic::kShares, user,
                  "user {} has {} descriptors, for segments and IPC namespaces, and gets no more, "
                  "so that others do; raise RLIMIT_NOFILE (ulimit -n)",
                  user, refusal.has);
      return;
    }
  }
}

}  // namespace shmvisor
