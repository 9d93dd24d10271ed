// What a registry is at one point between two calls, written as records (supervisor/saved), without
// the contents of segments: those may change while anybody maps them, and to read them takes long.
//
// The registry's lock is held while its state is copied, and not while anything is written or asked
// of the kernel. Removed segments that are still attached are counted and left out.
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
  UniqueFd file;  ///< a memfd, sealed, from its beginning on
  std::uint32_t segments = 0;
  std::uint32_t doomed = 0;  ///< left out
};

/// `version`: of the program. May throw std::bad_alloc. Errors: ENOMEM.
[[nodiscard]] Result<RegistrySnapshot> take_snapshot(Registry& registry,
                                                     const std::string& version);

}  // namespace shmvisor
