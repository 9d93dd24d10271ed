// Fills an empty registry from a file that `shmvisor save` wrote: segments with their identifiers,
// keys, owners, creators, modes, times and contents, the limits, and where identifiers go on.
//
// Nobody has a restored segment attached, and none counts as abandoned before somebody had: its
// creator is taken to be this process. Limits of the new run bind what is restored; those of the
// file need not have, since limits may be lowered below what exists.
//
// Errors: a clause that follows the file's name. The registry may have a part of the file then, and
// must not be used. Thread rule: before anybody is served of it; one thread, which waits for a
// disk.
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
  /// Of the new run, where its options set them: in place of the file's.
  LimitSettings limits = {};
  /// kernel.shm_rmid_forced, the same.
  std::optional<bool> rmid_forced = {};
  /// Whether the ids are there, in our user namespace and in the command's.
  std::function<bool(uid_t)> knows_user;
  std::function<bool(gid_t)> knows_group;
};

/// How many segments. May throw std::bad_alloc.
[[nodiscard]] Result<std::size_t, std::string> restore_registry(saved::StateReader& file,
                                                                Registry& registry,
                                                                const RestoreOrder& order);

}  // namespace shmvisor
