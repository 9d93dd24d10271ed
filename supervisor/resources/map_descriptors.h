// map_descriptors: how many memory maps of processes may stay open (KeptMaps), of the descriptors
// that RLIMIT_NOFILE allows.
//
// Thread rule: any thread.
#pragma once

#include <algorithm>
#include <cstdint>

namespace shmvisor {

/// None where the limit is a low one that is usual: they only save time.
constexpr std::int64_t map_descriptors(std::int64_t limit) {
  constexpr std::int64_t kLow = 1024;
  constexpr std::int64_t kMost = 1024;
  return std::clamp<std::int64_t>((limit - kLow) / 16, 0, kMost);
}

}  // namespace shmvisor
