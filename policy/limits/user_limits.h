// UserLimits: what one user may have in a registry, beside the limits of the whole registry.
//
// A user is the one who is accountable for a segment (Caller::account()): the real uid of its
// creator, as with RLIMIT_NPROC and the kernel's other counts for each user. The creator's
// effective uid (shm_perm.cuid) would not do: in a user namespace one user has as many of them as
// its map has, and a setuid program's segments would be charged to the owner of the program.
//
// Units are those of Limits. Thread rule: plain values.
#pragma once

#include <cstdint>
#include <map>

#include "policy/limits/limits.h"

namespace shmvisor {

/// Limits that are not set: the user is bounded by those of the registry alone.
struct UserLimits {
  LimitSettings of_each;
  /// Of single uids; what is not set there is as in `of_each`.
  std::map<std::uint32_t, LimitSettings> of_one;

  [[nodiscard]] LimitSettings of(std::uint32_t uid) const {
    const auto own = of_one.find(uid);
    return own == of_one.end() ? of_each : own->second.or_else(of_each);
  }
  [[nodiscard]] bool sets_any() const { return of_each.sets_any() || !of_one.empty(); }
  friend bool operator==(const UserLimits&, const UserLimits&) = default;
};

}  // namespace shmvisor
