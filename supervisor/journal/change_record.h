// The records of the journal: those of a saved registry (supervisor/saved), with what only matters
// while its processes live: which registry, which descriptor, who made it, which call.
//
// They have the header of saved records, and the payloads of these in the middle of theirs: layout
// 2 of kinds 2, 3 and 5, and kind 7. decode() refuses what no registry can have; how records fit
// one another is for who reads them (RecoveredState).
//
// Thread rule: plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "emulation/ipc/viewpoint.h"
#include "emulation/shm/segment.h"
#include "policy/base/result.h"
#include "supervisor/saved/record.h"

namespace shmvisor::journal {

/// A registry that is new, or one whose settings changed.
struct RegistryChange {
  std::uint32_t registry = 0;  ///< a number of the journal's
  std::uint32_t session = 0;   ///< Session::number()
  std::uint64_t ipc_namespace = 0;
  saved::RegistryState state;  ///< but for the numbers of segments
};

/// What a segment has besides what is saved.
struct LiveSegment {
  int fd = -1;  ///< the descriptor of its memory
  std::uint64_t device = 0;
  key_t name_key = 0;  ///< after which its memory is named: its key, also when that is taken away
  bool committed = false;
  bool removed = false;  ///< SHM_DEST
  /// It was made by this record, and the cycle of identifiers stands behind it.
  bool moves_cycle = false;
  /// The same, wherever the cycle stands: kernel.shm_next_id is taken back.
  bool made = false;
  std::optional<CreatorThread> creator;
  std::uint32_t stamp = 0;  ///< place of its stamps, or kNone
  /// Of shm_cpid: PidRecord::inner.
  std::shared_ptr<const std::vector<PidRecord::Inner>> cpid_inner;
};

struct SegmentChange {
  std::uint32_t registry = 0;
  /// Its stamps are elsewhere. The mode has no SHM_DEST.
  saved::SegmentState segment;
  LiveSegment live;
};

struct RemovalChange {
  std::uint32_t registry = 0;
  int id = 0;  ///< -1: of the registry itself
};

/// What came before it, since the last one or since the commit before, is what the call changes.
struct CallDecision {
  std::uint32_t slot = 0;
  std::uint64_t call = 0;  ///< the id of its notification
  std::int64_t result = 0;
};

using ChangeRecord = std::variant<RegistryChange, SegmentChange, RemovalChange, CallDecision>;

/// The bytes of one record, in place.
class EncodedRecord {
 public:
  /// Levels of pid namespaces below ours that are kept: all that the kernel has.
  static constexpr std::size_t kMostInner = 32;
  static constexpr std::size_t kMostBytes = sizeof(saved::RecordHeader) + 176 + kMostInner * 16;

  [[nodiscard]] std::span<const std::byte> bytes() const { return {bytes_.data(), size_}; }
  /// Gives it its place in a row, and the checksum for that. Only then it is a record.
  void number(std::uint64_t number);

 private:
  friend EncodedRecord encode(const RegistryChange& change);
  friend EncodedRecord encode(const SegmentChange& change);
  friend EncodedRecord encode(const RemovalChange& change);
  friend EncodedRecord encode(const CallDecision& decision);

  void begin(saved::RecordKind kind, std::uint16_t layout);
  void put(std::span<const std::byte> bytes);
  template <typename Layout>
  void put_layout(const Layout& layout) {
    put(std::as_bytes(std::span(&layout, 1)));
  }

  std::array<std::byte, kMostBytes> bytes_;
  std::size_t size_ = 0;
};

[[nodiscard]] EncodedRecord encode(const RegistryChange& change);
[[nodiscard]] EncodedRecord encode(const SegmentChange& change);
[[nodiscard]] EncodedRecord encode(const RemovalChange& change);
[[nodiscard]] EncodedRecord encode(const CallDecision& decision);

struct ReadRecord {
  ChangeRecord record;
  std::uint64_t number = 0;
  std::size_t bytes = 0;  ///< with its header
};

/// The record at the beginning of `bytes`. Errors: a clause that follows "the record".
[[nodiscard]] Result<ReadRecord, saved::Trouble> decode(std::span<const std::byte> bytes);

/// A copy of a record of a segment, as it belongs into a checkpoint: it moves nothing any more.
/// Precondition: decode() takes it. Answers how many bytes.
std::size_t copy_settled(std::span<const std::byte> record, std::span<std::byte> to,
                         std::uint64_t number);

}  // namespace shmvisor::journal
