// What the floor supervisor and a cooperating worker have agreed upon.
#pragma once

#include <cstdint>

namespace shmvisor {

/// Size of the one memfd that shmat is answered with; a caller maps as much of it as it wants.
constexpr std::int64_t kCooperativeBytes = std::int64_t{1} << 30;

}  // namespace shmvisor
