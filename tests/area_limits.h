// AreaLimits: what one of our own mappings can be given, and whether it is locked, by the words
// behind "VmFlags:" in /proc/self/smaps, two letters each: fs/proc/task_mmu.c.
#pragma once

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>

#include "emulation/memmap/access.h"
#include "emulation/memmap/map_request.h"

namespace shmvisor {

struct AreaLimits {
  Access maximum;
  LockMode lock = LockMode::kNone;

  friend constexpr bool operator==(const AreaLimits&, const AreaLimits&) = default;
};

/// Of the mapping that begins at `address`.
inline std::optional<AreaLimits> own_area_limits(std::uint64_t address) {
  std::ifstream smaps("/proc/self/smaps");
  bool found = false;
  for (std::string line; std::getline(smaps, line);) {
    std::uint64_t start = 0;
    std::uint64_t end = 0;
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " ", &start, &end) == 2) {
      found = start == address;
    } else if (found && line.starts_with("VmFlags:")) {
      const auto has = [&line](const char* word) { return line.find(word) != std::string::npos; };
      AreaLimits limits{{has(" mr"), has(" mw"), has(" me")}};
      if (has(" lo")) limits.lock = has(" lf") ? LockMode::kLazy : LockMode::kEager;
      return limits;
    }
  }
  return std::nullopt;
}

}  // namespace shmvisor
