// map_descriptors: how many descriptors that only save time may stay open, of those that
// RLIMIT_NOFILE allows: memory maps of processes (KeptMaps, KeptFile), and spare files
// (SpareFiles).
//
// Thread rule: any thread.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>

namespace shmvisor {

/// RLIMIT_NOFILE of this process.
inline std::int64_t descriptor_limit() {
  constexpr rlim_t kMost = 1U << 30;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<std::int64_t>(std::min(limit.rlim_cur, kMost));
}

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

/// Of these, the part of the maps that callers' own calls keep.
constexpr std::int64_t caller_map_descriptors(std::int64_t limit) {
  return map_descriptors(limit) / 8;
}

}  // namespace shmvisor
