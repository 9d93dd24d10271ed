// Capabilities across user namespaces: cap_capable() of security/commoncap.c, asked from outside.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "supervisor/process/thread_identity.h"

namespace shmvisor {

/// Whether a thread that has a capability in its own user namespace has it over an IPC namespace:
/// the one it lives in when `ipc` says so, or else the supervisor's, which counts as owned by the
/// supervisor's user namespace.
///
/// It has when its user namespace owns the IPC namespace or is an ancestor of the owner; and,
/// whatever its capabilities, when it lives in the parent of one of those and created that one.
/// `has_effective`: whether the capability is in its effective set. `euid`: its effective uid.
[[nodiscard]] bool capable_over_ipc(ThreadIdentity& thread, bool has_effective, uid_t euid);

}  // namespace shmvisor
