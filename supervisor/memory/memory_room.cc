#include "supervisor/memory/memory_room.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>

#include "policy/base/shortage.h"
#include "supervisor/scope/control_group.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

/// Version 1 and 2 say the same in different files.
struct LimitFiles {
  const char* limit;
  const char* usage;
  const char* cache;  ///< in memory.stat
};
constexpr LimitFiles kUnified{"memory.max", "memory.current", "inactive_file"};
constexpr LimitFiles kLegacy{"memory.limit_in_bytes", "memory.usage_in_bytes",
                             "total_inactive_file"};

/// The number after `field` and a blank, in lines of such; in a file of one number, that. 0 where
/// this process is out of descriptors: what cannot be looked at is no room.
std::optional<std::uint64_t> number_in(const std::string& path, const std::string& field = {}) {
  std::ifstream file(path);
  if (!file.is_open() && is_shortage(Errno::current())) return 0;
  std::string word;
  while (!field.empty() && file >> word && word != field) {
  }
  if (!(file >> word)) return std::nullopt;
  if (word == "max") return kUnlimited;
  std::uint64_t number = 0;
  for (const char digit : word) {
    if (digit < '0' || digit > '9') return std::nullopt;
    number = number * 10 + static_cast<std::uint64_t>(digit - '0');
  }
  return number;
}

/// Nothing where the cgroup has no limit files: the uppermost one of version 2.
std::optional<std::uint64_t> room_in(const std::string& folder, const LimitFiles& files) {
  const auto limit = number_in(folder + "/" + files.limit);
  const auto usage = number_in(folder + "/" + files.usage);
  if (!limit || !usage) return std::nullopt;
  const std::uint64_t cache = number_in(folder + "/memory.stat", files.cache).value_or(0);
  const std::uint64_t taken = *usage - std::min(*usage, cache);
  return *limit - std::min(*limit, taken);
}

}  // namespace

std::uint64_t control_group_room_bytes(std::string folder) {
  std::uint64_t room = kUnlimited;
  const bool unified = ::access((folder + "/" + kUnified.limit).c_str(), F_OK) == 0;
  for (;;) {
    const auto here = room_in(folder, unified ? kUnified : kLegacy);
    if (!here) return room;
    room = std::min(room, *here);
    const std::size_t parent = folder.rfind('/');
    if (parent == std::string::npos) return room;
    folder.resize(parent);
  }
}

std::uint64_t memory_room_bytes() {
  constexpr std::uint64_t kKiB = 1024;
  std::uint64_t room = kUnlimited;
  if (const auto available = number_in("/proc/meminfo", "MemAvailable:")) {
    room = (*available + number_in("/proc/meminfo", "SwapFree:").value_or(0)) * kKiB;
  }
  const auto group = ControlGroup::limiting_memory_of(getpid());
  return group ? std::min(room, control_group_room_bytes(group->path())) : room;
}

}  // namespace shmvisor
