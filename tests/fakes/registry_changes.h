// Short forms of changes to a registry, for tests.
#pragma once

#include "emulation/shm/registry.h"

namespace shmvisor {

inline void set_limits(Registry& registry, const Limits& limits) {
  using Which = SetLimit::Which;
  registry.change(SetLimit{Which::kShmmax, limits.shmmax});
  registry.change(SetLimit{Which::kShmall, limits.shmall});
  registry.change(SetLimit{Which::kShmmni, limits.shmmni});
}

}  // namespace shmvisor
