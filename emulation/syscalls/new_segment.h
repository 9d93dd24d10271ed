// What a segment that is being made must keep to, whoever makes it: newseg() of ipc/shm.c.
//
// Thread rule: the registry's lock is held.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "emulation/shm/registry_state.h"
#include "emulation/syscalls/reply.h"

namespace shmvisor {

/// Of its memory: "SYSV%08x" of the key.
[[nodiscard]] std::string segment_name(key_t key);

/// What newseg() refuses before it allocates anything, and what one user may have. `others`:
/// whether segments that are being made count too.
[[nodiscard]] std::optional<Reply> refuse_segment(std::uint64_t size_bytes, uid_t user,
                                                  const RegistryState& state, bool others);

}  // namespace shmvisor
