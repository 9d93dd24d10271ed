// Fills a session's registries with what a server that died left, around the memory of its
// segments, whose descriptors this process has.
//
// restore_state() brings back exactly what was there, while nothing is noted; then the journal
// observes the registries (Registries::observe()), and finish_restore() sees to what happened
// since: segments whose last mapping went meanwhile end.
//
// Errors: a clause that follows "the state". The registries may have a part of it then, and must
// not be used. Thread rule: before anybody is served; one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "emulation/shm/registries.h"
#include "policy/base/result.h"
#include "supervisor/journal/recovered_state.h"
#include "supervisor/memory/machine.h"

namespace shmvisor {

struct RestoredState {
  std::vector<int> descriptors;  ///< of the segments' memory
  struct Locked {
    std::shared_ptr<Registry> registry;
    std::shared_ptr<Segment> segment;
  };
  /// Whose pages are to be locked again: the locks went with the process that had them.
  std::vector<Locked> locked;
};

/// Those of the session with this number, to which the others belong. May throw std::bad_alloc.
[[nodiscard]] Result<RestoredState, std::string> restore_state(const journal::RecoveredState& state,
                                                               std::uint32_t session,
                                                               Registries& registries,
                                                               Machine& machine);

/// Ends segments that are over. All descriptors that the other server had handed out, and that
/// came to this process, are closed by then.
void finish_restore(const journal::RecoveredState& state, std::uint32_t session,
                    Registries& registries);

/// Takes long: for a thread of its own.
void lock_again(const RestoredState& restored);

}  // namespace shmvisor
