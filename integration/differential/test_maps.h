// TestMaps: the mappings of one process that a sequence can be about, read from /proc/TID/maps.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace shmvisor {

/// Where the windows are; 64 MiB each where the address space is wide, 16 MiB where it is not.
constexpr std::uint64_t kWindowBase = sizeof(void*) == 8 ? 0x10000000000 : 0x20000000;
constexpr std::uint64_t kWindowBytes = sizeof(void*) == 8 ? 0x4000000 : 0x1000000;

/// "w2+0x1000" within the windows, else in hexadecimal.
[[nodiscard]] std::string address_text(std::uint64_t address);

struct TestMapping {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  std::uint64_t offset_bytes = 0;
  std::string rights;
  std::string name;
  std::pair<std::uint64_t, std::uint64_t> file;  ///< device and inode

  /// Whether `next` goes on where this ends, and could be one mapping with it.
  [[nodiscard]] bool continued_by(const TestMapping& next) const;
};

class TestMaps {
 public:
  /// What lies in a window or is shared memory by its name, in address order.
  [[nodiscard]] static std::vector<TestMapping> read(pid_t thread);
};

}  // namespace shmvisor
