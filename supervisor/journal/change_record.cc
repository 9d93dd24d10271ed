#include "supervisor/journal/change_record.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>

#include "supervisor/journal/change_layout.h"
#include "supervisor/journal/state_layout.h"

namespace shmvisor::journal {
namespace {

using saved::RecordHeader;
using saved::RecordKind;
using saved::Trouble;

using Bytes = std::span<const std::byte>;

template <typename Layout>
Layout take(Bytes& bytes) {
  Layout layout;
  std::memcpy(&layout, bytes.data(), sizeof(Layout));
  bytes = bytes.subspan(sizeof(Layout));
  return layout;
}

constexpr std::size_t kRegistryBytes =
    sizeof(PlaceLayout) + sizeof(saved::RegistryLayout) + sizeof(LiveRegistryLayout);
constexpr std::size_t kSegmentBytes =
    sizeof(PlaceLayout) + sizeof(saved::SegmentLayout) + sizeof(LiveSegmentLayout);
constexpr std::size_t kRemovalBytes = sizeof(PlaceLayout) + sizeof(saved::RemovalLayout);
static_assert(sizeof(RecordHeader) + kSegmentBytes +
                  EncodedRecord::kMostInner * sizeof(InnerPidLayout) <=
              EncodedRecord::kMostBytes);

/// Of a record of a segment, from its beginning on.
constexpr std::size_t kFlagsAt = sizeof(RecordHeader) + sizeof(PlaceLayout) +
                                 sizeof(saved::SegmentLayout) + offsetof(LiveSegmentLayout, flags);

/// Whether a record of this kind and layout may be so long.
bool has_length_of_kind(const RecordHeader& header) {
  const std::size_t bytes = header.payload_bytes;
  const auto kind = static_cast<RecordKind>(header.kind);
  if (kind == kCallDecision) return header.layout == 1 && bytes == sizeof(CallDecisionLayout);
  if (header.layout != kLayout) return false;
  if (kind == RecordKind::kRegistry) return bytes == kRegistryBytes;
  if (kind == RecordKind::kRemoval) return bytes == kRemovalBytes;
  return kind == RecordKind::kSegment && bytes >= kSegmentBytes &&
         bytes <= kSegmentBytes + EncodedRecord::kMostInner * sizeof(InnerPidLayout) &&
         (bytes - kSegmentBytes) % sizeof(InnerPidLayout) == 0;
}

/// The part that saved records have too.
template <typename Kind, typename Layout>
Result<Kind, Trouble> decode_saved(RecordKind kind, const Layout& layout) {
  RecordHeader header;
  header.kind = static_cast<std::uint16_t>(kind);
  header.payload_bytes = sizeof(Layout);
  auto decoded = saved::decode(header, std::as_bytes(std::span(&layout, 1)));
  if (!decoded) return decoded.error();
  return std::get<Kind>(*decoded);
}

Result<ChangeRecord, Trouble> decode_registry(Bytes payload) {
  RegistryChange change;
  change.registry = take<PlaceLayout>(payload).registry;
  const auto layout = take<saved::RegistryLayout>(payload);
  const auto live = take<LiveRegistryLayout>(payload);
  const auto state = decode_saved<saved::RegistryState>(RecordKind::kRegistry, layout);
  if (!state) return state.error();
  change.state = *state;
  change.session = live.session;
  change.ipc_namespace = live.ipc_namespace;
  return ChangeRecord(change);
}

Result<ChangeRecord, Trouble> decode_segment(Bytes payload) {
  SegmentChange change;
  change.registry = take<PlaceLayout>(payload).registry;
  const auto layout = take<saved::SegmentLayout>(payload);
  auto segment = decode_saved<saved::SegmentState>(RecordKind::kSegment, layout);
  if (!segment) return segment.error();
  change.segment = *segment;
  const auto live = take<LiveSegmentLayout>(payload);
  if ((live.flags & ~LiveSegmentLayout::kKnownFlags) != 0) return Trouble("has unknown flags");
  if (live.fd < 0) return Trouble("has no descriptor");
  if (live.stamp >= kStamps && live.stamp != kNone) return Trouble("has stamps at no place");
  if (live.inner != payload.size() / sizeof(InnerPidLayout)) {
    return Trouble("has another length than it says");
  }
  const auto has = [&live](std::uint32_t flag) { return (live.flags & flag) != 0; };
  change.live.fd = live.fd;
  change.live.device = live.device;
  change.live.name_key = live.name_key;
  change.live.committed = has(LiveSegmentLayout::kCommitted);
  change.live.removed = has(LiveSegmentLayout::kRemoved);
  change.live.moves_cycle = has(LiveSegmentLayout::kMovesCycle);
  change.live.made = has(LiveSegmentLayout::kMade);
  if (has(LiveSegmentLayout::kHasCreator)) {
    change.live.creator = CreatorThread{live.creator_tid, live.creator_unique};
  }
  change.live.stamp = live.stamp;
  if (live.inner != 0) {
    std::vector<PidRecord::Inner> levels;
    for (std::uint32_t i = 0; i < live.inner; ++i) {
      const auto inner = take<InnerPidLayout>(payload);
      levels.push_back({inner.pid_namespace, inner.pid});
    }
    change.live.cpid_inner = std::make_shared<const decltype(levels)>(std::move(levels));
  }
  return ChangeRecord(std::move(change));
}

Result<ChangeRecord, Trouble> decode_removal(Bytes payload) {
  const auto place = take<PlaceLayout>(payload);
  const auto layout = take<saved::RemovalLayout>(payload);
  if (layout.id < -1) return Trouble("has no identifier");
  return ChangeRecord(RemovalChange{place.registry, layout.id});
}

Result<ChangeRecord, Trouble> decode_decision(Bytes payload) {
  const auto layout = take<CallDecisionLayout>(payload);
  if (layout.slot >= kSlots) return Trouble("is of a call without a slot");
  return ChangeRecord(CallDecision{layout.slot, layout.call, layout.result});
}

}  // namespace

void EncodedRecord::begin(RecordKind kind, std::uint16_t layout) {
  RecordHeader header;
  header.kind = static_cast<std::uint16_t>(kind);
  header.layout = layout;
  size_ = 0;
  put_layout(header);
}

void EncodedRecord::put(Bytes bytes) {
  std::memcpy(bytes_.data() + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
}

void EncodedRecord::number(std::uint64_t number) {
  RecordHeader header;
  std::memcpy(&header, bytes_.data(), sizeof(header));
  header.payload_bytes = static_cast<std::uint32_t>(size_ - sizeof(header));
  header.number = number;
  header.checksum = saved::checksum_of(header, bytes().subspan(sizeof(header)));
  std::memcpy(bytes_.data(), &header, sizeof(header));
}

EncodedRecord encode(const RegistryChange& change) {
  EncodedRecord record;
  record.begin(RecordKind::kRegistry, kLayout);
  record.put_layout(PlaceLayout{change.registry, 0});
  record.put(saved::encode(change.state).head());
  record.put_layout(LiveRegistryLayout{change.ipc_namespace, change.session, 0});
  return record;
}

EncodedRecord encode(const SegmentChange& change) {
  EncodedRecord record;
  record.begin(RecordKind::kSegment, kLayout);
  record.put_layout(PlaceLayout{change.registry, 0});
  record.put(saved::encode(change.segment).head());
  const LiveSegment& live = change.live;
  LiveSegmentLayout layout;
  layout.device = live.device;
  if (live.creator) {
    layout.creator_unique = live.creator->unique;
    layout.creator_tid = live.creator->tid;
    layout.flags |= LiveSegmentLayout::kHasCreator;
  }
  layout.fd = live.fd;
  layout.name_key = live.name_key;
  if (live.committed) layout.flags |= LiveSegmentLayout::kCommitted;
  if (live.removed) layout.flags |= LiveSegmentLayout::kRemoved;
  if (live.moves_cycle) layout.flags |= LiveSegmentLayout::kMovesCycle;
  if (live.made) layout.flags |= LiveSegmentLayout::kMade;
  layout.stamp = live.stamp;
  std::span<const PidRecord::Inner> kept;
  if (live.cpid_inner != nullptr) kept = *live.cpid_inner;
  kept = kept.first(std::min(kept.size(), EncodedRecord::kMostInner));
  layout.inner = static_cast<std::uint32_t>(kept.size());
  record.put_layout(layout);
  for (const PidRecord::Inner& one : kept) {
    record.put_layout(InnerPidLayout{one.pid_namespace, one.pid, 0});
  }
  return record;
}

EncodedRecord encode(const RemovalChange& change) {
  EncodedRecord record;
  record.begin(RecordKind::kRemoval, kLayout);
  record.put_layout(PlaceLayout{change.registry, 0});
  record.put_layout(saved::RemovalLayout{change.id, 0});
  return record;
}

EncodedRecord encode(const CallDecision& decision) {
  EncodedRecord record;
  record.begin(kCallDecision, 1);
  record.put_layout(CallDecisionLayout{decision.slot, 0, decision.call, decision.result});
  return record;
}

Result<ReadRecord, Trouble> decode(Bytes bytes) {
  if (bytes.size() < sizeof(RecordHeader)) return Trouble("is cut");
  Bytes rest = bytes;
  const auto header = take<RecordHeader>(rest);
  if (header.magic != RecordHeader::kMagic) return Trouble("does not begin as a record");
  if (!has_length_of_kind(header)) {
    return Trouble("is of kind " + std::to_string(header.kind) + ", layout " +
                   std::to_string(header.layout) + " and " + std::to_string(header.payload_bytes) +
                   " bytes, which this shmvisor does not know");
  }
  if (rest.size() < header.payload_bytes) return Trouble("is cut");
  const Bytes payload = rest.first(header.payload_bytes);
  if (saved::checksum_of(header, payload) != header.checksum) {
    return Trouble("has a checksum that does not fit");
  }
  auto record = [&]() -> Result<ChangeRecord, Trouble> {
    switch (static_cast<RecordKind>(header.kind)) {
      case RecordKind::kRegistry:
        return decode_registry(payload);
      case RecordKind::kSegment:
        return decode_segment(payload);
      case RecordKind::kRemoval:
        return decode_removal(payload);
      default:
        return decode_decision(payload);
    }
  }();
  if (!record) return record.error();
  return ReadRecord{std::move(*record), header.number, sizeof(header) + header.payload_bytes};
}

std::size_t copy_settled(Bytes record, std::span<std::byte> to, std::uint64_t number) {
  RecordHeader header;
  std::memcpy(&header, record.data(), sizeof(header));
  const std::size_t bytes = sizeof(header) + header.payload_bytes;
  std::memcpy(to.data(), record.data(), bytes);
  std::uint32_t flags = 0;
  std::memcpy(&flags, &to[kFlagsAt], sizeof(flags));
  flags &= ~(LiveSegmentLayout::kMovesCycle | LiveSegmentLayout::kMade);
  std::memcpy(&to[kFlagsAt], &flags, sizeof(flags));
  header.number = number;
  header.checksum = saved::checksum_of(header, to.subspan(sizeof(header), header.payload_bytes));
  std::memcpy(to.data(), &header, sizeof(header));
  return bytes;
}

}  // namespace shmvisor::journal
