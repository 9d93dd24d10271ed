// AddressRange: a stretch of an address space, in bytes. Thread rule: a plain value.
#pragma once

#include <cstdint>

namespace shmvisor {

struct AddressRange {
  std::uint64_t start = 0;
  std::uint64_t length = 0;

  /// One past the last byte. Wraps where the range does; see wraps().
  [[nodiscard]] constexpr std::uint64_t end() const { return start + length; }
  [[nodiscard]] constexpr bool wraps() const { return end() < start; }
  [[nodiscard]] constexpr bool empty() const { return length == 0; }
  /// Of ranges that do not wrap.
  [[nodiscard]] constexpr bool overlaps(const AddressRange& other) const {
    return start < other.end() && other.start < end();
  }
  friend constexpr bool operator==(const AddressRange&, const AddressRange&) = default;
};

}  // namespace shmvisor
