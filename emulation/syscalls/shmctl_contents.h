// ShmctlContents: what a shmctl wrote to its caller's buffer, or read there; for observers of
// calls.
//
// Ids, pids and the key are as the caller sees them. Values have their whole size here: what is too
// large for a member of the caller's layout (32 bits, or one from before IPC_64) is less there.
// Thread rule: a plain value.
#pragma once

#include <variant>

#include "emulation/abi/shm_abi.h"

namespace shmvisor {

/// Of IPC_STAT, SHM_STAT and SHM_STAT_ANY; IPC_SET; IPC_INFO; SHM_INFO.
using ShmctlContents =
    std::variant<std::monostate, ShmidDs, IpcSetRequest, ShmInfoLimits, ShmInfoUsage>;

}  // namespace shmvisor
