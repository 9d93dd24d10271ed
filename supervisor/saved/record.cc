#include "supervisor/saved/record.h"

#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#include "emulation/abi/pages.h"
#include "emulation/abi/shm_abi.h"

namespace shmvisor::saved {
namespace {

constexpr std::uint32_t kNobody = ~std::uint32_t{0};
constexpr std::uint64_t kLargestFileBytes = std::numeric_limits<std::int64_t>::max();

template <typename Layout>
Payload payload_of(RecordKind kind, const Layout& layout) {
  Payload payload;
  static_assert(sizeof(Layout) <= sizeof(payload.fixed));
  payload.kind = kind;
  payload.fixed_bytes = sizeof(Layout);
  std::memcpy(payload.fixed, &layout, sizeof(Layout));
  return payload;
}

template <typename Layout>
Layout layout_of(std::span<const std::byte> payload) {
  Layout layout;
  std::memcpy(&layout, payload.data(), sizeof(Layout));
  return layout;
}

struct Encoding {
  Payload operator()(const File& file) const {
    FileLayout layout;
    layout.page_bytes = file.page_bytes;
    layout.saved_at = file.saved_at;
    std::memcpy(layout.version, file.version, sizeof(layout.version));
    return payload_of(RecordKind::kFile, layout);
  }
  Payload operator()(const RegistryState& registry) const {
    RegistryLayout layout;
    layout.shmmax = registry.limits.shmmax;
    layout.shmall = registry.limits.shmall;
    layout.shmmni = registry.limits.shmmni;
    layout.rmid_forced = registry.rmid_forced ? 1 : 0;
    layout.next_id = registry.next_id;
    layout.last_index = registry.cursor.last_index;
    layout.seq = static_cast<std::uint32_t>(registry.cursor.seq);
    layout.segments = registry.segments;
    layout.doomed = registry.doomed;
    return payload_of(RecordKind::kRegistry, layout);
  }
  Payload operator()(const SegmentState& segment) const {
    SegmentLayout layout;
    layout.id = segment.id;
    layout.key = segment.perm.key;
    layout.uid = segment.perm.uid;
    layout.gid = segment.perm.gid;
    layout.cuid = segment.perm.cuid;
    layout.cgid = segment.perm.cgid;
    layout.mode = segment.perm.mode;
    if (segment.huge) layout.flags |= SegmentLayout::kHuge;
    if (!segment.reserve) layout.flags |= SegmentLayout::kNoReserve;
    layout.size_bytes = segment.size_bytes;
    layout.page_bytes = segment.page_bytes;
    layout.allocated_pages = segment.allocated_pages;
    layout.inode = segment.inode;
    layout.atime = segment.atime;
    layout.dtime = segment.dtime;
    layout.ctime = segment.ctime;
    layout.cpid = segment.cpid;
    layout.lpid = segment.lpid;
    layout.account = segment.account;
    layout.locked_by = segment.locked_by;
    return payload_of(RecordKind::kSegment, layout);
  }
  Payload operator()(const Contents& contents) const {
    ContentsLayout layout;
    layout.id = contents.id;
    layout.offset_bytes = contents.offset_bytes;
    Payload payload = payload_of(RecordKind::kContents, layout);
    payload.rest = contents.bytes;
    return payload;
  }
  Payload operator()(const Removal& removal) const {
    return payload_of(RecordKind::kRemoval, RemovalLayout{removal.id, 0});
  }
  Payload operator()(const End& end) const {
    return payload_of(RecordKind::kEnd, EndLayout{end.contents_bytes, end.segments, end.checksum});
  }
};

Result<Record, Trouble> decode_file(std::span<const std::byte> payload) {
  const auto layout = layout_of<FileLayout>(payload);
  if (layout.byte_order != FileLayout::kByteOrder) return Trouble("has another byte order");
  File file;
  file.page_bytes = layout.page_bytes;
  file.saved_at = layout.saved_at;
  const char* const end = std::find(std::begin(layout.version), std::end(layout.version), '\0');
  std::memcpy(file.version, layout.version, sizeof(file.version));
  const bool printable = std::all_of(std::begin(layout.version), end,
                                     [](char letter) { return letter > ' ' && letter <= '~'; });
  const bool zeros = std::all_of(end, std::end(layout.version), [](char c) { return c == '\0'; });
  if (!printable || !zeros || end == std::end(layout.version)) {
    return Trouble("has a version that is no text");
  }
  return Record(file);
}

Result<Record, Trouble> decode_registry(std::span<const std::byte> payload) {
  const auto layout = layout_of<RegistryLayout>(payload);
  const auto most_ids = std::uint32_t{IdSpace::kMaxIds};
  if (layout.shmmni > Limits::ipcmni) return Trouble("has a shmmni above 32768");
  if (layout.rmid_forced > 1) return Trouble("has a shm_rmid_forced that is neither 0 nor 1");
  if (layout.next_id < -1) return Trouble("has a shm_next_id below -1");
  if (layout.last_index < -1 || layout.last_index >= IdSpace::kMaxIds ||
      layout.seq >= std::uint32_t{IdSpace::kSeqMax}) {
    return Trouble("has no place in the cycle of identifiers");
  }
  if (layout.segments > most_ids || layout.doomed > most_ids) {
    return Trouble("has more segments than a registry");
  }
  if (layout.zero != 0) return Trouble("has something where zero belongs");
  RegistryState registry;
  registry.limits = {layout.shmmax, layout.shmall, layout.shmmni};
  registry.rmid_forced = layout.rmid_forced != 0;
  registry.next_id = layout.next_id;
  registry.cursor = {layout.last_index, static_cast<int>(layout.seq)};
  registry.segments = layout.segments;
  registry.doomed = layout.doomed;
  return Record(registry);
}

/// What no segment has.
const char* trouble_with(const SegmentLayout& layout) {
  if (layout.id < 0) return "has a negative identifier";
  const mode_t known_bits = abi::kPermissionBits | abi::kShmLocked;
  if ((layout.mode & ~known_bits) != 0) return "has a mode with unknown bits";
  if ((layout.flags & ~(SegmentLayout::kHuge | SegmentLayout::kNoReserve)) != 0) {
    return "has unknown flags";
  }
  for (const std::uint32_t user : {layout.uid, layout.cuid, layout.account, layout.locked_by}) {
    if (user == kNobody) return "has a user that is nobody";
  }
  for (const std::uint32_t group : {layout.gid, layout.cgid}) {
    if (group == kNobody) return "has a group that is nobody";
  }
  if (layout.size_bytes < Limits::shmmin) return "has a size of 0";
  const bool huge = (layout.flags & SegmentLayout::kHuge) != 0;
  constexpr std::uint64_t kMostPageBytes = std::uint64_t{1} << 40;
  const bool fits = huge ? std::has_single_bit(layout.page_bytes) &&
                               layout.page_bytes > kPageBytes && layout.page_bytes <= kMostPageBytes
                         : layout.page_bytes == kPageBytes;
  if (!fits) return "has pages of an impossible size";
  if (huge && (layout.mode & abi::kShmLocked) != 0) return "has locked huge pages, which none are";
  if (layout.cpid < 0 || layout.lpid < 0) return "has a negative process number";
  return nullptr;
}

Result<Record, Trouble> decode_segment(std::span<const std::byte> payload) {
  const auto layout = layout_of<SegmentLayout>(payload);
  if (const char* const trouble = trouble_with(layout)) return Trouble(trouble);
  SegmentState segment;
  segment.id = layout.id;
  segment.perm = {layout.key,  layout.uid,  layout.gid,
                  layout.cuid, layout.cgid, static_cast<mode_t>(layout.mode)};
  segment.size_bytes = layout.size_bytes;
  segment.page_bytes = layout.page_bytes;
  segment.huge = (layout.flags & SegmentLayout::kHuge) != 0;
  segment.reserve = (layout.flags & SegmentLayout::kNoReserve) == 0;
  segment.allocated_pages = layout.allocated_pages;
  segment.inode = layout.inode;
  segment.atime = layout.atime;
  segment.dtime = layout.dtime;
  segment.ctime = layout.ctime;
  segment.cpid = layout.cpid;
  segment.lpid = layout.lpid;
  segment.account = layout.account;
  segment.locked_by = layout.locked_by;
  return Record(segment);
}

Result<Record, Trouble> decode_contents(std::span<const std::byte> payload) {
  const auto layout = layout_of<ContentsLayout>(payload);
  const auto bytes = payload.subspan(sizeof(layout));
  if (layout.id < 0 || layout.zero != 0) return Trouble("has no identifier");
  if (layout.offset_bytes % kPageBytes != 0) return Trouble("begins in the middle of a page");
  return Record(Contents{layout.id, layout.offset_bytes, bytes});
}

Result<Record, Trouble> decode_removal(std::span<const std::byte> payload) {
  const auto layout = layout_of<RemovalLayout>(payload);
  if (layout.id < 0 || layout.zero != 0) return Trouble("has no identifier");
  return Record(Removal{layout.id});
}

Result<Record, Trouble> decode_end(std::span<const std::byte> payload) {
  const auto layout = layout_of<EndLayout>(payload);
  return Record(End{layout.contents_bytes, layout.segments, layout.checksum});
}

struct Known {
  RecordKind kind;
  std::size_t fixed_bytes;
  Result<Record, Trouble> (*decode)(std::span<const std::byte>);
};
constexpr Known kKnown[] = {
    {RecordKind::kFile, sizeof(FileLayout), decode_file},
    {RecordKind::kRegistry, sizeof(RegistryLayout), decode_registry},
    {RecordKind::kSegment, sizeof(SegmentLayout), decode_segment},
    {RecordKind::kContents, sizeof(ContentsLayout), decode_contents},
    {RecordKind::kRemoval, sizeof(RemovalLayout), decode_removal},
    {RecordKind::kEnd, sizeof(EndLayout), decode_end},
};

const Known* find(const RecordHeader& header) {
  const auto found = std::ranges::find_if(kKnown, [&](const Known& one) {
    return static_cast<std::uint16_t>(one.kind) == header.kind;
  });
  return found == std::end(kKnown) ? nullptr : found;
}

std::uint32_t add(std::uint32_t checksum, std::span<const std::byte> bytes) {
  if (bytes.empty()) return checksum;  // zlib would begin anew
  return static_cast<std::uint32_t>(
      ::crc32_z(checksum, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace

std::uint32_t checksum_of(RecordHeader header, std::span<const std::byte> payload,
                          std::span<const std::byte> rest) {
  header.checksum = 0;
  return add(add(add(0, std::as_bytes(std::span(&header, 1))), payload), rest);
}

std::uint32_t add_checksum(std::uint32_t of_all, std::uint32_t of_record) {
  return add(of_all, std::as_bytes(std::span(&of_record, 1)));
}

std::uint64_t SegmentState::mapped_bytes() const {
  const std::uint64_t most = kLargestFileBytes / page_bytes * page_bytes;
  if (size_bytes >= most) return most;
  return (size_bytes + page_bytes - 1) / page_bytes * page_bytes;
}

Payload encode(const Record& record) { return std::visit(Encoding(), record); }

Result<void, Trouble> check_header(const RecordHeader& header) {
  if (header.magic != RecordHeader::kMagic) return Trouble("does not begin as a record");
  const Known* const known = find(header);
  if (known == nullptr || header.layout != 1) {
    return Trouble("is of kind " + std::to_string(header.kind) + ", layout " +
                   std::to_string(header.layout) + ", which this shmvisor does not know");
  }
  const std::size_t bytes = header.payload_bytes;
  if (known->kind != RecordKind::kContents) {
    if (bytes != known->fixed_bytes) return Trouble("has another length than its kind");
    return {};
  }
  const bool whole_pages = bytes > known->fixed_bytes && bytes <= kMostPayloadBytes &&
                           (bytes - known->fixed_bytes) % kPageBytes == 0;
  if (!whole_pages) return Trouble("has no whole pages");
  return {};
}

Result<Record, Trouble> decode(const RecordHeader& header, std::span<const std::byte> payload) {
  return find(header)->decode(payload);
}

}  // namespace shmvisor::saved
