// BackingMemory: the pages behind one segment, and BackingFile: one open description of them.
//
// Whoever maps the memory maps a BackingFile of its own. Whether anybody still does is never
// counted here: in_use() asks the kernel whether any BackingFile, in whatever process, is alive.
//
// Ownership: a BackingFile keeps the pages alive like a mapping does; drop it before asking
// in_use(). Thread rule: every member may be called from any thread.
#pragma once

#include <cstdint>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

/// What /proc/PID/maps and PROCMAP_QUERY show of a mapped file.
struct FileIdentity {
  std::uint64_t device = 0;  ///< as makedev(3) packs it
  std::uint64_t inode = 0;

  friend constexpr bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

/// One open description, with the rights that a mapping of it can have at most.
struct BackingFile {
  UniqueFd fd;
};

enum class MaximumAccess : std::uint8_t { kReadOnly, kReadWrite };

/// What was allocated, in pages of 4096 bytes.
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
  /// Bytes that a mapping of the whole covers: the size asked for, in whole (huge) pages.
  [[nodiscard]] virtual std::uint64_t mapped_size_bytes() const = 0;
  /// Whether it consists of huge pages.
  [[nodiscard]] virtual bool is_huge() const = 0;

  /// A new description. Errors: ENOMEM, ENFILE, EMFILE.
  [[nodiscard]] virtual Result<BackingFile> open(MaximumAccess access) = 0;
  /// Whether a description from open() is alive anywhere: held, or mapped by any process.
  [[nodiscard]] virtual bool in_use() = 0;
  [[nodiscard]] virtual PageUsage usage() = 0;
  /// Keeps the pages from being swapped out, as far as this machine lets us.
  virtual void set_locked(bool locked) = 0;
};

}  // namespace shmvisor
