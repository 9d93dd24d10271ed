#include "supervisor/control/registry_page.h"

#include <algorithm>
#include <utility>

namespace shmvisor {

std::vector<NamedSession> sessions_behind(const std::vector<NamedSession>& sessions,
                                          const std::optional<RegistryPlace>& after) {
  if (!after) return sessions;
  std::vector<NamedSession> behind;
  for (const NamedSession& one : sessions) {
    if (one.name > after->session) behind.push_back(one);
  }
  std::ranges::sort(behind, {}, &NamedSession::name);
  return behind;
}

RegistryPage page_of(const std::vector<NamedSession>& sessions,
                     const std::optional<RegistryPlace>& after) {
  RegistryPage page;
  if (!after) {
    page.registries = registries_of(sessions);
    return page;
  }
  auto in_order = sessions_behind(sessions, after);
  // The session in which the last page ended may have more of them.
  const auto last = std::ranges::find(sessions, after->session, &NamedSession::name);
  if (last != sessions.end()) in_order.insert(in_order.begin(), *last);
  RegistryPlace told = *after;
  for (const NamedSession& session : in_order) {
    auto some = registries_of({session});
    std::ranges::sort(some, {}, &NamedRegistry::ipc_namespace);
    for (NamedRegistry& named : some) {
      RegistryPlace place{session.name, named.ipc_namespace};
      if (place <= *after) continue;
      if (page.registries.size() == kRegistriesInAReply) {
        page.next = told.text();
        return page;
      }
      told = std::move(place);
      page.registries.push_back(std::move(named));
    }
  }
  return page;
}

}  // namespace shmvisor
