// The code of the CallPage (see there): where it lies in this program, from which it is copied, and
// the offsets at which it is entered or may be found.
//
// Nothing of it is run here. No ownership; thread rule: constants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace shmvisor::page_code {

/// What rbx points to in a caller that is left to the code.
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
};

[[nodiscard]] std::span<const std::uint8_t> bytes();

// Run until its end is trapped.
[[nodiscard]] std::size_t map();      ///< begins with mmap(2)
[[nodiscard]] std::size_t kept();     ///< from here on the result is in r8
[[nodiscard]] std::size_t closed();   ///< close(2) was made
[[nodiscard]] std::size_t unmap();    ///< begins with munmap(2)
[[nodiscard]] std::size_t trapped();  ///< behind the call that the filter wants traced

// Left alone, with rbx pointing to a slot.
[[nodiscard]] std::size_t left_map();
[[nodiscard]] std::size_t left_unmap();
[[nodiscard]] std::size_t failed();        ///< behind the caller's own call, made again
[[nodiscard]] std::size_t mask_refused();  ///< behind the call that says so

}  // namespace shmvisor::page_code
