// MapsText: the mappings that the text of /proc/PID/maps tells of, read a page of text at a time.
//
// Each step takes the kernel 30 µs and some 80 mappings further. A PROCMAP_QUERY for shared
// mappings is three times as fast where a process has tens of thousands of others, but passes over
// all of them in one call: 0.2 µs each, during which no other thread gets the CPU on a kernel that
// does not preempt itself (PREEMPT_NONE, PREEMPT_VOLUNTARY).
//
// Errors: those of read(2); ESRCH where the process has lost its memory. Ownership: borrows the
// descriptor. Thread rule: one thread.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emulation/memmap/mapping_space.h"
#include "policy/base/result.h"

namespace shmvisor {

class MapsText {
 public:
  /// `maps`: /proc/PID/maps, from its beginning.
  explicit MapsText(int maps) : maps_(maps) {}

  struct Area {
    MappedArea area;
    bool shared = false;
  };
  /// Appends the mappings of the next step: all, or the shared ones alone. False behind the last.
  Result<bool> read_on(bool shared_only, std::vector<Area>& areas);

  /// One line: "start-end rwxp offset major:minor inode  name", the last letter of the rights being
  /// 's' for a shared mapping.
  [[nodiscard]] static std::optional<Area> parse(std::string_view line);

 private:
  const int maps_;
  bool any_ = false;
  std::string rest_;              ///< the beginning of a line
  std::array<char, 16384> step_;  ///< the kernel gives a page at a time
};

}  // namespace shmvisor
