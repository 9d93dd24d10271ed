// Fills an empty registry from a file that `shmvisor save` wrote: segments with their identifiers,
// keys, owners, creators, modes, times and contents, the limits, and where identifiers go on.
//
// No process has a restored segment attached. The segment does not count as abandoned before a
// process has attached it: until then this process counts as its creator. Restored segments must
// fit the limits of the new run. They need not fit the limits of the file, since limits may be
// lowered below what exists.
//
// Errors: a clause that follows the file's name. Then the registry may have a part of the file, and
// must not be used. Thread rule: before any call is answered from the registry; one thread, which
// waits for a disk.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "emulation/shm/registry.h"
#include "policy/base/result.h"
#include "policy/limits/limits.h"
#include "supervisor/saved/state_reader.h"

namespace shmvisor {

struct RestoreOrder {
  /// Limits that options of the new run set; they replace the file's.
  LimitSettings limits = {};
  /// kernel.shm_rmid_forced of the new run; replaces the file's.
  std::optional<bool> rmid_forced = {};
  /// Whether the ids exist, in our user namespace and in the command's.
  std::function<bool(uid_t)> knows_user;
  std::function<bool(gid_t)> knows_group;
};

/// Returns how many segments were restored. May throw std::bad_alloc.
[[nodiscard]] Result<std::size_t, std::string> restore_registry(saved::StateReader& file,
                                                                Registry& registry,
                                                                const RestoreOrder& order);

}  // namespace shmvisor
