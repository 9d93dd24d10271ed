#include "supervisor/launch/inherited_limits.h"

namespace shmvisor {

InheritedLimits::InheritedLimits() {
  for (std::size_t i = 0; i < kResources.size(); ++i) ::getrlimit(kResources[i], &limits_[i]);
}

void InheritedLimits::raise() const {
  for (std::size_t i = 0; i < kResources.size(); ++i) {
    constexpr rlimit kNone{RLIM_INFINITY, RLIM_INFINITY};
    if (kResources[i] != RLIMIT_NOFILE && ::setrlimit(kResources[i], &kNone) == 0) continue;
    const rlimit most{limits_[i].rlim_max, limits_[i].rlim_max};
    ::setrlimit(kResources[i], &most);
  }
}

void InheritedLimits::restore() const {
  for (std::size_t i = 0; i < kResources.size(); ++i) ::setrlimit(kResources[i], &limits_[i]);
}

}  // namespace shmvisor
