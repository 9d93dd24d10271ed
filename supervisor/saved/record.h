// Record: what a saved registry consists of, as plain values, and how they become payloads.
//
// decode() refuses what no registry can have; how records fit one another is for who reads them
// (StateReader). Sizes in bytes, times in seconds since the epoch.
//
// Errors: what is wrong, as a clause that follows "the record". Thread rule: plain values.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>

#include "emulation/ipc/id_table.h"
#include "emulation/ipc/ipc_perm.h"
#include "policy/base/result.h"
#include "policy/limits/limits.h"
#include "supervisor/saved/record_layout.h"

namespace shmvisor::saved {

struct File {
  std::uint32_t page_bytes = 0;
  std::int64_t saved_at = 0;
  char version[32] = {};  ///< of the program; printable ASCII, with a 0 behind it
};

struct RegistryState {
  Limits limits;
  bool rmid_forced = false;
  int next_id = -1;  ///< kernel.shm_next_id
  IdCursor cursor;
  std::uint32_t segments = 0;  ///< whose records follow
  std::uint32_t doomed = 0;    ///< removed ones that were attached still: they are not saved
};

struct SegmentState {
  int id = 0;
  /// The mode may have SHM_LOCKED. Ids are those of the shmvisor's user namespace.
  IpcPerm perm;
  std::uint64_t size_bytes = 0;
  std::uint64_t page_bytes = 0;  ///< of a huge page, or of the system's
  bool huge = false;
  bool reserve = true;  ///< without SHM_NORESERVE
  /// What it had when its record was made, in pages of the system; a hint.
  std::uint64_t allocated_pages = 0;
  /// Of the file that its memory was in; tells it from another segment with its identifier, as long
  /// as it is there.
  std::uint64_t inode = 0;
  std::int64_t atime = 0;
  std::int64_t dtime = 0;
  std::int64_t ctime = 0;
  /// As the shmvisor's pid namespace had them; they name no process any more.
  pid_t cpid = 0;
  pid_t lpid = 0;
  uid_t account = 0;
  uid_t locked_by = 0;

  /// The memory that a mapping of the whole covers.
  [[nodiscard]] std::uint64_t mapped_bytes() const;
};

/// Whole pages of the segment that came last, each with something in it.
struct Contents {
  int id = 0;
  std::uint64_t offset_bytes = 0;
  std::span<const std::byte> bytes;  ///< borrowed
};

struct Removal {
  int id = 0;
};

struct End {
  std::uint64_t contents_bytes = 0;
  std::uint32_t segments = 0;
  std::uint32_t checksum = 0;
};

using Record = std::variant<File, RegistryState, SegmentState, Contents, Removal, End>;

/// A payload: a fixed layout, and with contents what follows it.
struct Payload {
  RecordKind kind = RecordKind::kFile;
  std::byte fixed[sizeof(SegmentLayout)] = {};
  std::size_t fixed_bytes = 0;
  std::span<const std::byte> rest;

  [[nodiscard]] std::span<const std::byte> head() const { return {fixed, fixed_bytes}; }
};

[[nodiscard]] Payload encode(const Record& record);

using Trouble = std::string;

/// Whether a record may have such a header, all but its checksum and number. To be asked before
/// memory is taken for the payload.
[[nodiscard]] Result<void, Trouble> check_header(const RecordHeader& header);
/// Precondition: check_header() and the checksum were fine. Contents borrow from `payload`.
[[nodiscard]] Result<Record, Trouble> decode(const RecordHeader& header,
                                             std::span<const std::byte> payload);

}  // namespace shmvisor::saved
