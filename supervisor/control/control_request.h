// ControlRequest: what a client asks, parsed from one line (PROTOCOL.md).
//
// A line comes from outside and may be anything. A member that is not known is refused: one that
// was misspelt would be ignored otherwise.
//
// Thread rule: plain values.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "policy/base/result.h"
#include "policy/limits/limits.h"
#include "supervisor/control/protocol.h"
#include "supervisor/control/registry_place.h"
#include "supervisor/inject/forced_unmapping.h"

namespace shmvisor {

/// The registries, each with its limits and what is used of them.
struct ListRegistries {
  std::optional<RegistryPlace> after = std::nullopt;  ///< nothing: all of them
};

/// The segments of one registry, in the order of their index.
struct ListSegments {
  std::string registry;
  int from_index = 0;
};

/// Those of all registries, in the order of their places.
struct ListAllSegments {
  SegmentPlace from;
};

/// The processes that may be supervised, by registry.
struct ListProcesses {
  std::optional<RegistryPlace> after = std::nullopt;
};

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

/// The memory of one segment, as a descriptor.
struct OpenSegment {
  std::string registry;
  int shmid = 0;
};

/// What a registry is at one point, without the contents of segments, as a descriptor.
struct TakeSnapshot {
  std::string registry;
};

/// Memory of a new segment, as a descriptor, which the client fills.
struct AllocateSegment {
  std::string registry;
  std::uint32_t key = 0;
  std::uint64_t size_bytes = 0;
  mode_t mode = 0;
  std::optional<uid_t> uid;  ///< ours where there is none
  std::optional<gid_t> gid;
};

/// What this client has allocated becomes a segment.
struct InsertAllocated {};

/// Nothing: the client needs more time.
struct StillThere {};

/// One segment is taken out of processes that map it, or out of one.
struct DetachSegment {
  std::string registry;
  int shmid = 0;
  std::optional<pid_t> pid;  ///< all where there is none
  AccessGives gives = AccessGives::kSigsegv;
};

/// The configuration is read again.
struct Reload {};

/// Another program takes over.
struct Upgrade {
  std::string program;  ///< its path; empty: where the running one was started from
};

/// What calls added up to, and the segments that are left.
struct Report {};

/// What the calls to each registry added up to, and how long they took.
struct Counters {
  std::optional<RegistryPlace> after = std::nullopt;
};

using ControlRequest =
    std::variant<ListRegistries, ListSegments, ListAllSegments, ListProcesses, FollowCalls,
                 RemoveOneSegment, SetLimits, Report, Counters, Reload, OpenSegment, TakeSnapshot,
                 AllocateSegment, InsertAllocated, StillThere, DetachSegment, Upgrade>;

/// `line`: without its newline.
[[nodiscard]] Result<ControlRequest, control::Refusal> parse_control_request(std::string_view line);

}  // namespace shmvisor
