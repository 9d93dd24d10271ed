// ControlRequest: what a client asks, parsed from one line (PROTOCOL.md).
//
// A line comes from outside and may be anything. A member that is not known is refused: one that
// was misspelt would be ignored otherwise.
//
// Thread rule: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "policy/base/result.h"
#include "policy/limits/limits.h"
#include "supervisor/control/protocol.h"

namespace shmvisor {

/// The registries, each with its limits and what is used of them.
struct ListRegistries {};

/// The segments of one registry, in the order of their index.
struct ListSegments {
  std::string registry;
  int from_index = 0;
};

/// The processes that may be supervised, by registry.
struct ListProcesses {};

/// Each call as it is answered, from now on.
struct FollowCalls {};

/// IPC_RMID of one segment.
struct RemoveOneSegment {
  std::string registry;
  int shmid = 0;
};

/// What a write to kernel.shm* does; what is not given stays.
struct SetLimits {
  std::string registry;
  LimitSettings limits = {};
};

/// The configuration is read again.
struct Reload {};

/// What calls added up to, and the segments that are left.
struct Report {};

/// What the calls to each registry added up to, and how long they took.
struct Counters {};

using ControlRequest = std::variant<ListRegistries, ListSegments, ListProcesses, FollowCalls,
                                    RemoveOneSegment, SetLimits, Report, Counters, Reload>;

/// `line`: without its newline.
[[nodiscard]] Result<ControlRequest, control::Refusal> parse_control_request(std::string_view line);

}  // namespace shmvisor
