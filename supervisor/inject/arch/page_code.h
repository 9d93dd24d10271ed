// The code of the CallPage (see there), which threads of a program run: its bytes, the places in it
// that a tracer may find a thread at, and the slot that it works on.
//
// A slot keeps what a thread that runs the code is to get back, and what it works with. While the
// code runs, one register points to the slot. The slot's first word holds the thread's value of
// that register; of a free slot it holds the slot's own address.
//
// Implemented once for each architecture, in a folder beside this file, or in none/: then bytes()
// is empty, there is no CallPage, and callers map and unmap by calls that are run step by step.
// Nothing of it is run here. No ownership; thread rule: constants and plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "emulation/abi/shm_abi.h"
#include "emulation/memmap/address_range.h"
#include "supervisor/inject/arch/registers.h"

namespace shmvisor::page_code {

/// Of the programs that can run it.
[[nodiscard]] Abi abi();
/// Where the page may lie without being in a program's way.
[[nodiscard]] AddressRange places();

[[nodiscard]] std::span<const std::uint8_t> bytes();
/// What is executed by nobody: a thread that gets there faults.
[[nodiscard]] std::uint8_t filler();

enum class Task : std::uint8_t { kMap, kFetchAndMap, kUnmap };
/// What the code is to do.
struct Work {
  Task task = Task::kMap;
  /// mmap(2)'s, with the descriptor unless it is fetched; or munmap(2)'s.
  std::array<std::uint64_t, 6> arguments{};
  std::uint64_t mark = 0;  ///< LentDescriptor::mark(), of a descriptor
};

inline constexpr std::size_t kSlotBytes = 192;
using Slot = std::array<std::uint8_t, kSlotBytes>;
/// For a stopped thread with these registers. `tells`: its end is to be trapped.
[[nodiscard]] Slot slot_for(const Registers& thread, std::uint64_t signal_mask, const Work& work,
                            bool tells);
[[nodiscard]] std::size_t result_in_slot();
/// kLost once it turned out to be somebody else's.
[[nodiscard]] std::size_t descriptor_in_slot();
[[nodiscard]] std::size_t signal_mask_in_slot();
inline constexpr std::uint64_t kLost = ~std::uint64_t{0};
/// The slot of a thread that runs the code.
[[nodiscard]] std::uint64_t slot_of(const Registers& running);

/// With which a stopped thread begins, with its slot at that address and the code at `page`.
[[nodiscard]] Registers begin(const Registers& thread, std::uint64_t page, std::uint64_t slot,
                              const Work& work);
/// With which it goes on to give back what the slot keeps, and to return.
[[nodiscard]] Registers finish(const Registers& thread, std::uint64_t page, std::uint64_t slot);
/// Whether the call that `begin` leads to was not made: its number is there still.
[[nodiscard]] bool first_call_refused(const Registers& begin, const Registers& now);

// Callers that come from their own call sites (arch/call_site.h) take a slot by themselves, one of
// those behind the first kSlotsOfSupervisor, and block their signals. Then they make their call and
// find in the slot what they are to do besides taking the result.
inline constexpr std::size_t kSlotsOfSupervisor = 8;
inline constexpr std::size_t kSlotsOfSites = 13;
/// The slot of a caller that is in such a call, as the caller says.
[[nodiscard]] std::uint64_t slot_said_by(const seccomp_data& call);
/// A part of the slot, and where it begins.
struct Order {
  std::size_t offset = 0;
  std::array<std::uint64_t, 7> words{};
};
/// Precondition: `work` is no kFetchAndMap. What maps is answered with the descriptor, as a kMap
/// whose arguments are all but that; what unmaps with 0.
[[nodiscard]] Order order_for(const Work& work);
/// The word of such a slot that is not 0 where the slot is free.
[[nodiscard]] std::size_t free_in_slot();

// Offsets in the code.
[[nodiscard]] std::size_t site_entry(Task task);  ///< of a caller that attaches, or detaches
[[nodiscard]] std::size_t asked();                ///< behind the call of such a caller
[[nodiscard]] std::size_t entry(Task task);  ///< a task that fetches nothing begins with a call
[[nodiscard]] std::size_t fetched();         ///< behind the call that asks for the descriptor
[[nodiscard]] std::size_t mapped();          ///< behind mmap(2)
[[nodiscard]] std::size_t closed();          ///< behind close(2)
[[nodiscard]] std::size_t unmapped();        ///< behind munmap(2)
[[nodiscard]] std::size_t told();            ///< behind the call that the filter wants traced
[[nodiscard]] std::size_t forbidden();       ///< where some other filter did not want it
[[nodiscard]] std::size_t failed();          ///< behind the caller's own call, made again
[[nodiscard]] std::size_t mask_refused();    ///< behind the call that says so

}  // namespace shmvisor::page_code
