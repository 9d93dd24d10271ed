// AddressRange and OffsetRange: a stretch of an address space, and one of an object or a file.
// Bytes throughout. Two types, so that neither is taken for the other.
#pragma once

#include <algorithm>
#include <cstdint>

namespace shmvisor {

template <typename Kind>
struct ByteRange {
  std::uint64_t start = 0;
  std::uint64_t length = 0;

  /// One past the last byte. Wraps where the range does; see wraps().
  [[nodiscard]] constexpr std::uint64_t end() const { return start + length; }
  [[nodiscard]] constexpr bool wraps() const { return end() < start; }
  [[nodiscard]] constexpr bool empty() const { return length == 0; }

  // Of ranges that do not wrap.

  [[nodiscard]] constexpr bool overlaps(const ByteRange& other) const {
    return start < other.end() && other.start < end();
  }
  [[nodiscard]] constexpr bool contains(const ByteRange& other) const {
    return start <= other.start && other.end() <= end();
  }
  /// What both have; empty where that is nothing.
  [[nodiscard]] constexpr ByteRange common(const ByteRange& other) const {
    const std::uint64_t first = std::max(start, other.start);
    const std::uint64_t last = std::min(end(), other.end());
    return first < last ? ByteRange{first, last - first} : ByteRange{first, 0};
  }
  friend constexpr bool operator==(const ByteRange&, const ByteRange&) = default;
};

using AddressRange = ByteRange<struct Addresses>;
using OffsetRange = ByteRange<struct Offsets>;

}  // namespace shmvisor
