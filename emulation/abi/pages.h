// Sizes in pages of the system (kPageBytes), which the limits and the accounts count. Not
// constexpr: some architectures know the size of a page at run time only.
#pragma once

#include <cstdint>

#include "emulation/abi/abi.h"

namespace shmvisor {

/// How many pages `bytes` take; 0 of a size in the last page of all, whose round number wraps.
inline std::uint64_t pages_of(std::uint64_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes; }

inline bool is_page_aligned(std::uint64_t address) { return address % kPageBytes == 0; }

/// Where the page begins that `address` is in.
inline std::uint64_t page_of(std::uint64_t address) { return address - address % kPageBytes; }

}  // namespace shmvisor
