// MapRequest: all that is asked of a mapping, mmap(2) and mlock2(2).
//
// Sizes and addresses in bytes. Thread rule: a plain value.
#pragma once

#include <cstdint>
#include <string>

#include "emulation/abi/pages.h"
#include "emulation/memmap/access.h"
#include "emulation/memmap/address_range.h"

namespace shmvisor {

/// What happens to the address that is given.
enum class Placement : std::uint8_t {
  kAnywhere,   ///< the kernel chooses; `address` is a hint, 0 for none
  kExact,      ///< EINVAL where anything is mapped already
  kReplacing,  ///< what is mapped there goes (MAP_FIXED)
};

/// Whether pages stay in memory, and from when on.
enum class LockMode : std::uint8_t {
  kNone,
  kEager,  ///< all of them are brought in now: mlock(2)
  kLazy,   ///< each once it is there: mlock2(2) with MLOCK_ONFAULT
};

struct MapRequest {
  std::uint64_t address = 0;
  std::uint64_t length_bytes = 0;  ///< 0 is mmap's to refuse
  Placement placement = Placement::kAnywhere;
  Access access;                     ///< what it can do at first
  Access maximum = kAnyAccess;       ///< what mprotect(2) can make of it; the description's rights
  std::uint64_t offset_bytes = 0;    ///< where in the file it begins
  bool below_4gib = false;           ///< where the kernel chooses: for a 32-bit call
  bool populate = false;             ///< bring all pages in now, as far as there is memory
  bool caller_may_complete = false;  ///< it may map by itself: see MappingSpace::map()
  bool commit = true;                ///< reserve huge pages that are not reserved yet
  LockMode lock = LockMode::kNone;   ///< charged to the process that maps
  std::string name = {};             ///< BackingMemory::name(), for messages

  [[nodiscard]] AddressRange addresses() const { return {address, length_bytes}; }

  /// The precondition of mapping: what no caller can have asked for, whatever it passed.
  [[nodiscard]] bool valid() const {
    return is_page_aligned(address) && is_page_aligned(length_bytes) &&
           is_page_aligned(offset_bytes) && offset_bytes + length_bytes >= offset_bytes &&
           maximum.covers(access);
  }
};

}  // namespace shmvisor
