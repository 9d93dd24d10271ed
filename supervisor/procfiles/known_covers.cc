#include "supervisor/procfiles/known_covers.h"

#include <linux/nsfs.h>
#include <sys/ioctl.h>

#include <algorithm>

namespace shmvisor {
namespace {

// <linux/nsfs.h>, Linux 6.18.
#ifndef NS_GET_ID
#define NS_GET_ID _IOR(NSIO, 13, std::uint64_t)
#endif

/// 0, which no namespace has, where the kernel cannot tell.
std::uint64_t number_of(const UniqueFd& name_space) {
  std::uint64_t number = 0;
  return ::ioctl(name_space.get(), NS_GET_ID, &number) == 0 ? number : 0;
}

}  // namespace

std::optional<KnownCovers::Place> KnownCovers::place_of(const UniqueFd& mounts,
                                                        const UniqueFd& ipc) {
  const Place place{number_of(mounts), number_of(ipc)};
  return place.mounts != 0 && place.ipc != 0 ? std::optional(place) : std::nullopt;
}

bool KnownCovers::has(const Place& place) const {
  const MutexLock lock(mutex_);
  return std::find(covered_.begin(), covered_.end(), place) != covered_.end();
}

void KnownCovers::add(const Place& place) {
  const MutexLock lock(mutex_);
  if (std::find(covered_.begin(), covered_.end(), place) != covered_.end()) return;
  if (covered_.size() >= kMost) covered_.pop_front();
  covered_.push_back(place);
}

}  // namespace shmvisor
