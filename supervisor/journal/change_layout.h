// The bytes of what the journal's records have besides those of saved ones: fixed layouts,
// little-endian, without gaps. README.md describes them.
//
// Thread rule: plain values.
#pragma once

#include <cstdint>

#include "supervisor/saved/record_layout.h"

namespace shmvisor::journal {

/// Of the kinds 2, 3 and 5 in a journal.
inline constexpr std::uint16_t kLayout = 2;
/// The kind of a CallDecisionLayout, of layout 1. No saved file has one.
inline constexpr auto kCallDecision = static_cast<saved::RecordKind>(7);

/// Before the payload of a saved record.
struct PlaceLayout {
  std::uint32_t registry = 0;
  std::uint32_t zero = 0;
};
static_assert(sizeof(PlaceLayout) == 8);

/// Behind a saved::RegistryLayout.
struct LiveRegistryLayout {
  std::uint64_t ipc_namespace = 0;
  std::uint32_t session = 0;
  std::uint32_t zero = 0;
};
static_assert(sizeof(LiveRegistryLayout) == 16);

/// Behind a saved::SegmentLayout; then `inner` times an InnerPidLayout.
struct LiveSegmentLayout {
  static constexpr std::uint32_t kCommitted = 1;
  static constexpr std::uint32_t kRemoved = 2;
  static constexpr std::uint32_t kMovesCycle = 4;
  static constexpr std::uint32_t kMade = 8;
  static constexpr std::uint32_t kHasCreator = 16;
  static constexpr std::uint32_t kKnownFlags = 31;

  std::uint64_t device = 0;
  std::uint64_t creator_unique = 0;
  std::int32_t creator_tid = 0;
  std::int32_t fd = 0;
  std::int32_t name_key = 0;
  std::uint32_t flags = 0;
  std::uint32_t stamp = 0;
  std::uint32_t inner = 0;
};
static_assert(sizeof(LiveSegmentLayout) == 40);

struct InnerPidLayout {
  std::uint64_t pid_namespace = 0;
  std::int32_t pid = 0;
  std::uint32_t zero = 0;
};
static_assert(sizeof(InnerPidLayout) == 16);

struct CallDecisionLayout {
  std::uint32_t slot = 0;
  std::uint32_t zero = 0;
  std::uint64_t call = 0;
  std::int64_t result = 0;
};
static_assert(sizeof(CallDecisionLayout) == 24);

}  // namespace shmvisor::journal
