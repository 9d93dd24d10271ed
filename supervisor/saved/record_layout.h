// The bytes of records: fixed layouts, little-endian, without gaps. README.md describes them.
//
// A record is a header and a payload, of a length that is a multiple of 8. Its checksum covers
// both. A kind whose layout changes gets a higher layout number, and a reader refuses a number that
// it does not know.
//
// Thread rule: plain values.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace shmvisor::saved {

// Where the machine is of the other kind, each number would have to be turned round.
static_assert(std::endian::native == std::endian::little);

enum class RecordKind : std::uint16_t {
  kFile = 1,      ///< the first one
  kRegistry = 2,  ///< the second one
  kSegment = 3,
  kContents = 4,  ///< bytes of the segment that came last
  kRemoval = 5,   ///< a segment that came before is gone
  kEnd = 6,       ///< the last one
};

struct RecordHeader {
  static constexpr std::uint32_t kMagic = 0x524d4853;  // "SHMR"

  std::uint32_t magic = kMagic;
  std::uint16_t kind = 0;
  std::uint16_t layout = 1;
  std::uint32_t payload_bytes = 0;
  /// CRC-32 of the header, with 0 in this place, and of the payload.
  std::uint32_t checksum = 0;
  /// Of the record among those of its file, from 0 on.
  std::uint64_t number = 0;
};
static_assert(sizeof(RecordHeader) == 24);

struct FileLayout {
  static constexpr std::uint32_t kByteOrder = 0x01020304;

  std::uint32_t byte_order = kByteOrder;
  std::uint32_t page_bytes = 0;
  std::int64_t saved_at = 0;
  char version[32] = {};  ///< zeros behind it
};
static_assert(sizeof(FileLayout) == 48);

struct RegistryLayout {
  std::uint64_t shmmax = 0;
  std::uint64_t shmall = 0;
  std::uint32_t shmmni = 0;
  std::uint32_t rmid_forced = 0;
  std::int32_t next_id = 0;
  std::int32_t last_index = 0;
  std::uint32_t seq = 0;
  std::uint32_t segments = 0;
  std::uint32_t doomed = 0;
  std::uint32_t zero = 0;
};
static_assert(sizeof(RegistryLayout) == 48);

struct SegmentLayout {
  static constexpr std::uint32_t kHuge = 1;
  static constexpr std::uint32_t kNoReserve = 2;

  std::int32_t id = 0;
  std::int32_t key = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t cuid = 0;
  std::uint32_t cgid = 0;
  std::uint32_t mode = 0;
  std::uint32_t flags = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t page_bytes = 0;
  std::uint64_t allocated_pages = 0;
  std::uint64_t inode = 0;
  std::int64_t atime = 0;
  std::int64_t dtime = 0;
  std::int64_t ctime = 0;
  std::int32_t cpid = 0;
  std::int32_t lpid = 0;
  std::uint32_t account = 0;
  std::uint32_t locked_by = 0;
};
static_assert(sizeof(SegmentLayout) == 104);

/// The bytes follow it.
struct ContentsLayout {
  std::int32_t id = 0;
  std::uint32_t zero = 0;
  std::uint64_t offset_bytes = 0;
};
static_assert(sizeof(ContentsLayout) == 16);

struct RemovalLayout {
  std::int32_t id = 0;
  std::uint32_t zero = 0;
};
static_assert(sizeof(RemovalLayout) == 8);

struct EndLayout {
  std::uint64_t contents_bytes = 0;
  std::uint32_t segments = 0;  ///< that are not removed again
  /// CRC-32 of the checksums of all records before.
  std::uint32_t checksum = 0;
};
static_assert(sizeof(EndLayout) == 16);

/// Of one record of contents at most.
inline constexpr std::size_t kMostContentsBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMostPayloadBytes = sizeof(ContentsLayout) + kMostContentsBytes;

/// The checksum that a record with this header (whose own is not looked at) and payload has.
[[nodiscard]] std::uint32_t checksum_of(RecordHeader header, std::span<const std::byte> payload,
                                        std::span<const std::byte> rest = {});
/// That of all records, when another one is behind them; begins with 0.
[[nodiscard]] std::uint32_t add_checksum(std::uint32_t of_all, std::uint32_t of_record);

}  // namespace shmvisor::saved
