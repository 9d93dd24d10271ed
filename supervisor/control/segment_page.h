// Segments of all registries, in parts: those for one reply.
//
// Bounds: kSegmentsInAReply segments of kRegistriesInAReply registries. One look counts the
// attaches of a session (TableParts), which takes up to AttachCounter::kMostTime; no session is
// begun after kLongReply.
//
// Errors: where attaches cannot be counted each registry says so of which a segment is mapped.
// Thread rule: any thread but a main loop, without a lock.
#pragma once

#include <chrono>
#include <vector>

#include "supervisor/control/named_registry.h"
#include "supervisor/control/protocol.h"
#include "supervisor/control/registry_place.h"

namespace shmvisor {

inline constexpr std::chrono::milliseconds kLongReply{500};

struct SegmentPage {
  /// Of those that have segments from the place on: `name`, and `segments` or `error`.
  control::Json registries = control::Json::array();
  control::Json next;  ///< where to go on; null at the end
};

[[nodiscard]] SegmentPage page_of_segments(const std::vector<NamedSession>& sessions,
                                           const SegmentPlace& from);

}  // namespace shmvisor
