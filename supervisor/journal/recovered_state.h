// RecoveredState: what the journal says that there is. It is what a new server begins with.
//
// read_state() believes nothing: each record that counts is checked, and what does not fit is
// refused with the reason. What was being written when the last server died is not looked at.
//
// Thread rule: plain values; read_state() while nobody writes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "emulation/shm/segment.h"
#include "policy/base/result.h"
#include "supervisor/journal/change_record.h"
#include "supervisor/journal/state_file.h"

namespace shmvisor::journal {

struct RecoveredSegment {
  saved::SegmentState segment;  ///< but for its stamps
  LiveSegment live;
  AttachStamps stamps;
  bool was_opened = false;         ///< Segment::was_opened()
  std::uint64_t offset_bytes = 0;  ///< of its last record
};

struct RecoveredRegistry {
  RegistryChange settings;
  std::map<int, RecoveredSegment> segments;  ///< by index
};

struct RecoveredState {
  std::map<std::uint32_t, RecoveredRegistry> registries;  ///< by number
  /// Of calls whose change is there; their slots may not say so yet.
  std::vector<CallDecision> decisions;
  std::uint64_t next_number = 0;  ///< of records
  std::uint64_t committed_bytes = 0;

  [[nodiscard]] bool empty() const { return registries.empty(); }
};

/// Empty of a new file. Errors: a clause that follows "the state". May throw std::bad_alloc.
[[nodiscard]] Result<RecoveredState, std::string> read_state(const StateFile& file);

/// The last one that is whole; nothing where there is none. Into `segment`.
void read_stamps(const StampPair& pair, RecoveredSegment& segment);

}  // namespace shmvisor::journal
