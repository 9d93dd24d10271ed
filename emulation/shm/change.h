// Change: what a call changes in a Registry, as data. Registry::apply() carries it out.
//
// Thread rule: plain values; they keep the segments that they name.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <variant>

#include "emulation/ipc/id_table.h"
#include "emulation/shm/segment.h"

namespace shmvisor {

/// shmget. Precondition: `free` came from Registry::next_id() under the same hold of the lock.
struct InsertSegment {
  FreeId free;
  std::shared_ptr<Segment> segment;
};

/// IPC_RMID.
struct RemoveSegment {
  std::shared_ptr<Segment> segment;
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

/// The identifier that kernel.shm_next_id asked for could not be had.
struct ForgetNextId {};

using Change = std::variant<InsertSegment, RemoveSegment, SetPermissions, SetLocked, ForgetNextId>;

}  // namespace shmvisor
