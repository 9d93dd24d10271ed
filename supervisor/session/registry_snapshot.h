// The state of a registry at one point between two calls, written as records (supervisor/saved),
// without the contents of segments: contents may change while a process maps them, and to read them
// takes long.
//
// The registry's lock is held while the state is copied, but not while records are written or the
// kernel is asked. Removed segments that are still attached are counted and left out.
//
// Thread rule: any thread but a main loop.
#pragma once

#include <cstdint>
#include <string>

#include "emulation/shm/registry.h"
#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

struct RegistrySnapshot {
  UniqueFd file;  ///< a memfd, sealed; its position is the beginning
  std::uint32_t segments = 0;
  std::uint32_t doomed = 0;  ///< removed, still attached segments, which are left out
};

/// `version`: of the program. May throw std::bad_alloc. Errors: ENOMEM.
[[nodiscard]] Result<RegistrySnapshot> take_snapshot(Registry& registry,
                                                     const std::string& version);

}  // namespace shmvisor
