// map_descriptors: how many descriptors that only save time may stay open, of those that
// RLIMIT_NOFILE allows: memory maps of processes (KeptMaps), and spare files (SpareFiles).
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

/// Of these, the part of SpareFiles.
constexpr std::int64_t spare_file_descriptors(std::int64_t limit) {
  return map_descriptors(limit) / 128;
}

}  // namespace shmvisor
