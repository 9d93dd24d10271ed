// Change: what is changed in a Registry, as data. To apply one is the only way to change a
// registry; attaches and detaches, which leave stamps at the segment alone, have their own
// (Segment).
//
// Thread rule: plain values; they keep the segments that they name.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <variant>

#include "emulation/ipc/id_table.h"
#include "emulation/shm/cleanup_observer.h"
#include "emulation/shm/segment.h"
#include "policy/limits/user_limits.h"

namespace shmvisor {

/// shmget. Precondition: `free` came from RegistryState::next_id() under the same hold of the
/// lock.
struct InsertSegment {
  FreeId free;
  std::shared_ptr<Segment> segment;
};

/// IPC_RMID; kOrphaned: of what nobody uses any more.
struct RemoveSegment {
  std::shared_ptr<Segment> segment;
  CleanedBy by = CleanedBy::kNothing;
};

/// IPC_SET: the permission bits of `mode` alone count.
struct SetPermissions {
  std::shared_ptr<Segment> segment;
  uid_t uid = 0;
  gid_t gid = 0;
  mode_t mode = 0;
  std::int64_t now_seconds = 0;
};

/// SHM_LOCK and SHM_UNLOCK; `uid` is charged for the pages. Segment::renew_lock() is to follow,
/// without the registry's lock.
struct SetLocked {
  std::shared_ptr<Segment> segment;
  bool locked = false;
  uid_t uid = 0;
};

/// A mapping of it is gone, or an attempt to attach it: it is destroyed where the kernel would do
/// so now (shm_may_destroy()), and stays otherwise.
struct DropIfOver {
  std::shared_ptr<Segment> segment;
};

/// exit_shm() of a thread, or what stands for it where the thread lives on: nobody has created its
/// segments from now on.
struct ForgetCreator {
  CreatorThread creator;
};

/// A write to one of kernel.shmmax, shmall and shmmni.
struct SetLimit {
  enum class Which : std::uint8_t { kShmmax, kShmall, kShmmni };
  Which which = Which::kShmmax;
  std::uint64_t value = 0;  ///< in bytes, pages and segments
};

/// What each user may have from now on; null: as much as the registry has. Segments that exist
/// stay.
struct SetUserLimits {
  std::shared_ptr<const UserLimits> limits;
};

/// A write to kernel.shm_next_id; or -1, where the identifier that it asked for could not be had.
struct SetNextId {
  int id = -1;
};

/// The cycle of identifiers goes on behind this one: of a registry that comes back.
struct SetIdCursor {
  IdCursor cursor;
};

/// A write to kernel.shm_rmid_forced. Registry::set_rmid_forced() sees to the orphans too.
struct SetRmidForced {
  bool forced = false;
};

using Change =
    std::variant<InsertSegment, RemoveSegment, SetPermissions, SetLocked, DropIfOver, ForgetCreator,
                 SetLimit, SetUserLimits, SetNextId, SetIdCursor, SetRmidForced>;

}  // namespace shmvisor
