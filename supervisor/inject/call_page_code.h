// The code of the CallPage (see there): where it lies in this program, from which it is copied, and
// the offsets at which it is entered or may be found.
//
// Nothing of it is run here. No ownership; thread rule: constants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace shmvisor::page_code {

/// What rbx points to in a caller that runs the code.
struct Slot {
  std::uint64_t rbx;
  std::uint64_t result;
  std::uint64_t rip;
  std::uint64_t rdi;
  std::uint64_t rsi;
  std::uint64_t rdx;
  std::uint64_t r10;
  std::uint64_t r8;
  std::uint64_t r9;
  std::uint64_t signal_mask;
  std::uint64_t number;  ///< of the call
  // Of a mapping.
  std::uint64_t descriptor;  ///< kLost once it turned out to be somebody else's
  std::uint64_t mark;        ///< its position, if it is ours
  std::uint64_t length;      ///< in bytes

  std::uint64_t tells;  ///< whether its end is trapped
};

inline constexpr std::uint64_t kLost = ~std::uint64_t{0};

[[nodiscard]] std::span<const std::uint8_t> bytes();

[[nodiscard]] std::size_t fetch();         ///< begins with the call that asks for the descriptor
[[nodiscard]] std::size_t fetched();       ///< behind that
[[nodiscard]] std::size_t map();           ///< begins with mmap(2)
[[nodiscard]] std::size_t mapped();        ///< behind that
[[nodiscard]] std::size_t closed();        ///< close(2) was made
[[nodiscard]] std::size_t unmap();         ///< begins with munmap(2)
[[nodiscard]] std::size_t unmapped();      ///< behind that
[[nodiscard]] std::size_t tell();          ///< the result is in the slot
[[nodiscard]] std::size_t told();          ///< behind the call that the filter wants traced
[[nodiscard]] std::size_t forbidden();     ///< where some other filter did not want it
[[nodiscard]] std::size_t failed();        ///< behind the caller's own call, made again
[[nodiscard]] std::size_t finish();        ///< gives back what the slot keeps, and returns
[[nodiscard]] std::size_t mask_refused();  ///< behind the call that says so

}  // namespace shmvisor::page_code
