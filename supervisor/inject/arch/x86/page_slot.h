// The slot of the CallPage's code for x86-64, as that code has it: rbx points to it while a thread
// runs the code.
//
// Thread rule: plain values.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shmvisor::x86 {

struct PageSlot {
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
  std::uint64_t descriptor;
  std::uint64_t mark;    ///< its position, if it is ours
  std::uint64_t length;  ///< in bytes

  std::uint64_t tells;  ///< whether its end is trapped

  // What a caller that came from a call site is told.
  std::uint64_t address;
  std::uint64_t protection;
  std::uint64_t flags;
  std::uint64_t task;  ///< a SiteTask
  // Of a slot that callers take by themselves.
  std::uint64_t free;  ///< 0 where it is taken
};

enum class SiteTask : std::uint64_t { kNone, kMap, kUnmap };

/// Where in the code a thread goes on that has its result in the slot.
[[nodiscard]] std::size_t tell();

}  // namespace shmvisor::x86
