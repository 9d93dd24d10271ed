#include "supervisor/scope/joint_scope.h"

#include <algorithm>

namespace shmvisor {

Result<std::vector<pid_t>> JointScope::processes() const {
  std::vector<pid_t> all;
  for (const auto& scope : scopes()) {
    const Result<std::vector<pid_t>> pids = scope->processes();
    if (!pids) return pids.error();
    all.insert(all.end(), pids->begin(), pids->end());
  }
  sort_once(all);
  return all;
}

Result<JointScope::Listing> JointScope::listing() const {
  Listing listing;
  for (const auto& scope : scopes()) {
    const Result<std::vector<pid_t>> pids = scope->processes();
    if (!pids) return pids.error();
    auto& part = scope->is_exact() ? listing.certain : listing.others;
    part.insert(part.end(), pids->begin(), pids->end());
    const auto ancestors = scope->ancestors();
    listing.ancestors.insert(listing.ancestors.end(), ancestors.begin(), ancestors.end());
  }
  sort_once(listing.certain);
  sort_once(listing.others);
  sort_once(listing.ancestors);
  std::erase_if(listing.others, [&listing](pid_t pid) {
    return std::binary_search(listing.certain.begin(), listing.certain.end(), pid);
  });
  return listing;
}

}  // namespace shmvisor
