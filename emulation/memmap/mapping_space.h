// MappingSpace: the address space of the process that makes a call.
//
// This is all that the emulation knows of processes' memory maps; supervisor/inject implements it
// over a real process, tests in memory.
//
// Errors are those of mmap(2) and munmap(2), and EACCES where the process cannot be reached.
// Thread rule: one thread; lives for one call.
#pragma once

#include <cstdint>
#include <optional>

#include "emulation/memmap/access.h"
#include "emulation/memmap/address_range.h"
#include "emulation/memmap/backing_memory.h"
#include "policy/base/result.h"

namespace shmvisor {

/// What happens to an address that is given.
enum class Placement : std::uint8_t {
  kAnywhere,   ///< the kernel chooses; `address` must be 0
  kExact,      ///< EINVAL where anything is mapped already
  kReplacing,  ///< what is mapped there goes (MAP_FIXED)
};

struct MapRequest {
  std::uint64_t address = 0;
  std::uint64_t length_bytes = 0;
  Placement placement = Placement::kAnywhere;
  Access access;
  /// Huge pages were reserved, or were not, when the memory was made: mapping it reserves none.
  bool reserved_already = false;
};

/// One mapping (VMA) of a file.
struct MappedArea {
  AddressRange range;
  std::uint64_t file_offset_bytes = 0;
  FileIdentity file;
};

class MappingSpace {
 public:
  MappingSpace() = default;
  MappingSpace(const MappingSpace&) = delete;
  MappingSpace& operator=(const MappingSpace&) = delete;
  virtual ~MappingSpace() = default;

  /// Maps `file` shared, from its beginning. Returns the address. When this returns nothing but
  /// the mapping holds the description any more.
  [[nodiscard]] virtual Result<std::uint64_t> map(const MapRequest& request, BackingFile file) = 0;
  [[nodiscard]] virtual Result<void> unmap(const AddressRange& range) = 0;
  /// The lowest shared mapping of a file that ends above `address`; nothing where there is none.
  [[nodiscard]] virtual Result<std::optional<MappedArea>> area_above(std::uint64_t address) = 0;
};

}  // namespace shmvisor
