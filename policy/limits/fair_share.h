// The rule by which those who share something limited leave of it to others: threads, calls in
// service, open files.
//
// Thread rule: a pure function.
#pragma once

namespace shmvisor {

/// Whether who has `its_own` may have one more, where `left` are left of all: while it has fewer
/// than that. Who asks for all that it can get leaves a half to others, the next one a quarter; and
/// who has nothing gets the last one.
template <typename Count>
constexpr bool within_fair_share(Count its_own, Count left) {
  return its_own < left;
}

}  // namespace shmvisor
