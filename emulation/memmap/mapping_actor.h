// MappingActor: who makes or ends a mapping, and when. Thread rule: a plain value.
#pragma once

#include <cstdint>

#include "emulation/ipc/viewpoint.h"

namespace shmvisor {

struct MappingActor {
  PidRecord process;
  std::int64_t now_seconds = 0;
};

}  // namespace shmvisor
