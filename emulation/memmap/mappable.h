// Mappable: an object that can be mapped, from offset 0 to length_bytes(). A segment is one.
//
// It is told of mappings that come and go as far as anybody is: not of a fork, an exit or a munmap,
// which the kernel does not announce. What it knows is therefore who was last, never how many.
//
// Source of the rules: vm_operations_struct of ipc/shm.c, shm_open(), shm_close(), shm_fault().
// Thread rule: any thread.
#pragma once

#include <cstdint>

#include "emulation/ipc/viewpoint.h"
#include "emulation/memmap/access.h"
#include "emulation/memmap/address_range.h"
#include "emulation/memmap/backing_memory.h"
#include "emulation/memmap/mapping_identity.h"
#include "policy/base/result.h"

namespace shmvisor {

/// Who makes or ends a mapping, and when.
struct MappingActor {
  PidRecord process;
  std::int64_t now_seconds = 0;
};

/// Where a range of an object's offsets is to be found now.
struct Translation {
  OffsetRange source;             ///< of the object
  BackingMemory& file;            ///< lives as long as the object
  std::uint64_t file_offset = 0;  ///< in bytes, of source.start
  Access maximum;                 ///< what a mapping of it can be given
};

class Mappable {
 public:
  Mappable() = default;
  Mappable(const Mappable&) = delete;
  Mappable& operator=(const Mappable&) = delete;
  virtual ~Mappable() = default;

  [[nodiscard]] virtual MappingIdentity identity() const = 0;
  /// In whole pages.
  [[nodiscard]] virtual std::uint64_t length_bytes() const = 0;

  /// Where `required` is, for a mapping that begins with the rights `access`.
  /// EFAULT where it lies beyond length_bytes().
  [[nodiscard]] virtual Result<Translation> translate(const OffsetRange& required,
                                                      const Access& access) = 0;

  // Once it has happened. Precondition: `offsets` are within length_bytes(), or a mapping that
  // mremap(2) made grow.

  virtual void add_mapping(const OffsetRange& offsets, const MappingActor& by) = 0;
  virtual void remove_mapping(const OffsetRange& offsets, const MappingActor& by) = 0;
  /// One mapping became two: the halves that are left of one whose middle goes.
  virtual void copy_mapping(const OffsetRange& offsets, const MappingActor& by) = 0;
};

}  // namespace shmvisor
