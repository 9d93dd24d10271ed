// A segment as its record has it, and back; but for its memory, which is elsewhere.
//
// Thread rule: the registry's lock, where it says so; otherwise plain values.
#pragma once

#include <sys/types.h>

#include "emulation/ipc/id_table.h"
#include "emulation/shm/host.h"
#include "emulation/shm/registry_state.h"
#include "emulation/shm/segment.h"
#include "supervisor/saved/record.h"

namespace shmvisor::saved {

/// But for its stamps and for what its memory is. With the registry's lock held.
[[nodiscard]] SegmentState copy_of(const shmvisor::RegistryState& state, const Segment& segment);

/// Memory as it had. `name_key`: of its name (segment_name()).
[[nodiscard]] BackingRequest request_of(const SegmentState& segment, key_t name_key);
/// Without SHM_LOCKED, and with a creator that is no process.
[[nodiscard]] Segment::Creation creation_of(const SegmentState& segment);
/// As kernel.shm_next_id would have it, so that the cycle of identifiers stays where it is.
[[nodiscard]] FreeId free_id_of(int id);
/// Who was last at it, of a segment that is new.
void set_stamps(Segment& segment, const AttachStamps& stamps);

}  // namespace shmvisor::saved
