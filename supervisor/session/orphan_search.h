// OrphanSearch: finds segments that no process maps, and whose creator and last user have ended. A
// segment that was found twice in a row is removed.
//
// Whether a process lives is read in /proc. A process that now has the pid of an ended one keeps
// the segment alive, and so does a process that cannot be seen. An attach between the two searches
// keeps the segment too.
//
// Thread rule: one thread at a time.
#pragma once

#include <set>
#include <utility>

#include "emulation/shm/registries.h"

namespace shmvisor {

/// Whether we made the segment (by a restore or a load), and no process has attached it yet. The
/// creator and last user of a restored segment are of another run; the creator of a loaded segment
/// is shmvisor, and it has no last user. Precondition: the registry's lock is held.
[[nodiscard]] bool awaits_its_first_user(const RegistryState& state, const Segment& segment);

class OrphanSearch {
 public:
  /// Removes segments that the search before found and that still are orphans; remembers new ones.
  void look(const Registries& registries);

 private:
  using Suspects = std::set<std::pair<const Registry*, int>>;

  void look_in(Registry& registry, Suspects& found) const;

  Suspects suspects_;
};

}  // namespace shmvisor
