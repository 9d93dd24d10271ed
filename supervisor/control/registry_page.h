// Some of the registries, or of the sessions, for a reply that has no room for all of them: an
// agent may have very many containers.
//
// Ownership: a page shares what it lists. Thread rule: any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "supervisor/control/named_registry.h"
#include "supervisor/control/protocol.h"
#include "supervisor/control/registry_place.h"

namespace shmvisor {

/// Registries, or sessions, in one reply; the next request goes on behind them.
inline constexpr std::size_t kRegistriesInAReply = 256;

struct RegistryPage {
  std::vector<NamedRegistry> registries;
  control::Json next;  ///< where to go on; null at the end
};

/// Up to kRegistriesInAReply behind `after`; all of them without it, in the order of `sessions`.
[[nodiscard]] RegistryPage page_of(const std::vector<NamedSession>& sessions,
                                   const std::optional<RegistryPlace>& after);

/// Those behind `after` in the order of their names; all of them without it, as they are.
[[nodiscard]] std::vector<NamedSession> sessions_behind(const std::vector<NamedSession>& sessions,
                                                        const std::optional<RegistryPlace>& after);

}  // namespace shmvisor
