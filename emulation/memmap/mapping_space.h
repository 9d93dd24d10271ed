// MappingSpace: the address space of a process.
//
// This is all that the emulation knows of processes' memory maps; supervisor/inject implements it
// over real processes, tests in memory. Implementations see requests that meet the preconditions
// and answer what meets the postconditions; both are checked here, in debug builds.
//
// Errors are those of mmap(2), munmap(2) and mlock2(2), and EACCES where the process cannot be
// reached. ESRCH where it has ended. Thread rule: one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "emulation/memmap/access.h"
#include "emulation/memmap/address_range.h"
#include "emulation/memmap/backing_memory.h"
#include "emulation/memmap/file_identity.h"
#include "emulation/memmap/map_request.h"
#include "policy/base/result.h"

namespace shmvisor {

/// One mapping (VMA) of a file.
struct MappedArea {
  AddressRange range;
  std::uint64_t file_offset_bytes = 0;
  FileIdentity file;
  Access access;

  friend constexpr bool operator==(const MappedArea&, const MappedArea&) = default;
};

class MappingSpace {
 public:
  MappingSpace() = default;
  MappingSpace(const MappingSpace&) = delete;
  MappingSpace& operator=(const MappingSpace&) = delete;
  virtual ~MappingSpace() = default;

  /// Maps `file` shared. Returns the address. When this returns nothing but the mapping holds the
  /// description any more.
  /// Where request.caller_may_complete, nothing may be returned instead of an address: then the
  /// caller maps the file on its way out of its call, once the call is answered, and finds the
  /// address as the result. A caller that cannot map it makes the same call again, and may not
  /// complete that one.
  /// Precondition: request.valid(), and `file` was opened with request.maximum.
  /// Postcondition: the address asked for, unless that was a hint; otherwise below 4 GiB if so
  /// asked. (A 64-bit program's 32-bit call may attach across 4 GiB, at an address that it names.)
  [[nodiscard]] Result<std::optional<std::uint64_t>> map(const MapRequest& request,
                                                         BackingFile file);

  enum class Outcome : std::uint8_t {
    kDone,
    kCompletedByCaller,  ///< the caller unmaps it once its call is answered, and finds a 0
  };
  /// Errors: EPERM where mseal(2) protects a part of it, and nothing was unmapped.
  /// Postcondition: nothing of `range` is mapped but what other threads mapped meanwhile; or
  /// kCompletedByCaller.
  [[nodiscard]] Result<Outcome> unmap(const AddressRange& range, bool caller_may_complete = false);

  /// Returns once the descriptions of what was unmapped are closed, unless somebody else has them:
  /// the kernel closes them only on the process's way back to its program.
  [[nodiscard]] Result<void> finish_unmapping() { return do_finish_unmapping(); }

  /// What an earlier attempt at this very call unmapped that nobody lived to answer: nothing,
  /// mostly.
  [[nodiscard]] std::optional<FileIdentity> unmapped_before() { return do_unmapped_before(); }

  /// `tell` is called before the next change begins which the caller would end by itself, and find
  /// the result of, should we not live to answer it. It throws nothing.
  void tell_before_it_goes_alone(std::function<void()> tell) { before_alone_ = std::move(tell); }

  /// The lowest shared mapping of a file that ends above `address`; nothing where there is none.
  [[nodiscard]] Result<std::optional<MappedArea>> area_above(std::uint64_t address);

  /// The shared mappings of files that lie in `range` or reach into it, in order.
  /// Precondition: `range` does not wrap.
  [[nodiscard]] Result<std::vector<MappedArea>> list(const AddressRange& range);

 protected:
  void goes_alone() const {
    if (before_alone_) before_alone_();
  }

 private:
  virtual Result<std::optional<std::uint64_t>> do_map(const MapRequest& request,
                                                      BackingFile file) = 0;
  virtual Result<Outcome> do_unmap(const AddressRange& range, bool caller_may_complete) = 0;
  virtual Result<void> do_finish_unmapping() = 0;
  virtual Result<std::optional<MappedArea>> do_area_above(std::uint64_t address) = 0;
  virtual std::optional<FileIdentity> do_unmapped_before() { return std::nullopt; }

  std::function<void()> before_alone_;
};

}  // namespace shmvisor
