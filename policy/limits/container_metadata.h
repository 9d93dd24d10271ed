// ContainerMetadata: what a container's seccomp profile says about its shared memory, in
// linux.seccomp.listenerMetadata of the OCI runtime specification.
//
// Text: settings divided by commas, each once: shmmax=SIZE, shmall=PAGES, shmmni=NUMBER as in
// policy/limits/limits.h, and group=NAME: letters, digits, '.', '_' and '-', at most 64. Containers
// of one group share their segments. An empty text sets nothing; blanks and anything unknown are
// errors, because a limit that was misspelt would be none.
//
// Thread rule: plain values.
#pragma once

#include <string>
#include <string_view>

#include "policy/base/result.h"
#include "policy/limits/limits.h"

namespace shmvisor {

/// Before the name of a group, where a container could be meant: in names of registries, and in
/// rules.
inline constexpr std::string_view kGroupPrefix = "group:";
[[nodiscard]] inline std::string group_title(const std::string& name) {
  return std::string(kGroupPrefix) + name;
}

struct ContainerMetadata {
  Limits limits;
  std::string group;       ///< empty: none
  LimitSettings own = {};  ///< of the limits those that the text sets

  friend bool operator==(const ContainerMetadata&, const ContainerMetadata&) = default;
};

/// Whether both come of the same settings, whatever the defaults were.
[[nodiscard]] inline bool same_settings(const ContainerMetadata& one,
                                        const ContainerMetadata& other) {
  return one.own == other.own && one.group == other.group;
}

/// One clause for a log line.
struct BadMetadata {
  std::string reason;
};

/// What is not set keeps its value in `defaults`.
Result<ContainerMetadata, BadMetadata> parse_container_metadata(std::string_view text,
                                                                const ContainerMetadata& defaults);

}  // namespace shmvisor
