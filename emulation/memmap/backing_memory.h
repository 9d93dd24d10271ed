// BackingMemory: the backing file of one segment, and BackingFile: one open description of it.
//
// Whoever maps the memory maps a BackingFile of its own. Whether anybody still does is never
// counted here: in_use() asks the kernel whether any BackingFile, in whatever process, is alive.
//
// Sizes and offsets in bytes. Ownership: a BackingFile keeps the pages alive like a mapping does;
// drop it before asking in_use(). Thread rule: every member may be called from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "emulation/memmap/access.h"
#include "emulation/memmap/address_range.h"
#include "emulation/memmap/file_identity.h"
#include "emulation/memmap/map_request.h"
#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

/// One open description, with the rights that a mapping of it can have at most.
struct BackingFile {
  UniqueFd fd;
};

/// What was allocated, in pages (kPageBytes).
struct PageUsage {
  std::uint64_t resident = 0;
  std::uint64_t swapped = 0;
};

class BackingMemory {
 public:
  BackingMemory() = default;
  BackingMemory(const BackingMemory&) = delete;
  BackingMemory& operator=(const BackingMemory&) = delete;
  virtual ~BackingMemory() = default;

  [[nodiscard]] virtual FileIdentity identity() const = 0;
  /// What /proc/PID/maps shows of a mapping of it, "/memfd:SYSV00000000 (deleted)".
  [[nodiscard]] virtual std::string name() const = 0;
  /// Bytes that a mapping of the whole covers: the size asked for, in whole (huge) pages.
  [[nodiscard]] virtual std::uint64_t mapped_size_bytes() const = 0;
  /// Whether it consists of huge pages.
  [[nodiscard]] virtual bool is_huge() const = 0;
  /// Whether every page was allocated when it was made.
  [[nodiscard]] virtual bool is_committed() const = 0;

  /// A new description, whose mappings can have `maximum` at most. May wait for somebody who
  /// watches the file (fanotify(7)): to be called without a lock. Errors: ENOMEM.
  [[nodiscard]] virtual Result<BackingFile> open(const Access& maximum) = 0;
  /// Whether a description from open() is alive anywhere: held, or mapped by any process.
  [[nodiscard]] virtual bool in_use() = 0;
  [[nodiscard]] virtual PageUsage usage() = 0;
  /// Keeps the pages from being swapped out, as far as this machine lets us; kNone lets them go.
  /// May take long.
  virtual void lock(LockMode mode) = 0;
  /// What frees the pages, although somebody may still refer to the file. Owns what it needs. Takes
  /// long, and may wait for somebody who caught a descriptor: to be called without a lock, when
  /// nobody is to map the memory any more. Null where the end of this object frees all.
  [[nodiscard]] virtual std::function<void()> discarding() = 0;
  /// The same at once. Needs no memory.
  virtual void discard() = 0;
};

}  // namespace shmvisor
