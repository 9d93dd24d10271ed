// OrphanSearch: finds segments that nobody maps, and whose creator and last user have ended, and
// removes them: those that it found twice in a row.
//
// Whether processes live is read in /proc. One that has the pid of an ended one now keeps a
// segment, and so does one that cannot be seen. An attach or a removal meanwhile keeps it too.
//
// Thread rule: one thread at a time.
#pragma once

#include <set>
#include <utility>

#include "emulation/shm/registries.h"

namespace shmvisor {

/// Whether we made it and nobody has had it yet. The creator and last user of one that was restored
/// are of another run; the creator of one that was loaded is shmvisor, and it has no last user.
/// Precondition: the registry's lock is held.
[[nodiscard]] bool awaits_its_first_user(const RegistryState& state, const Segment& segment);

class OrphanSearch {
 public:
  /// Removes what was found before and is an orphan still.
  void look(const Registries& registries);

 private:
  using Suspects = std::set<std::pair<const Registry*, int>>;

  void look_in(Registry& registry, Suspects& found) const;

  Suspects suspects_;
};

}  // namespace shmvisor
