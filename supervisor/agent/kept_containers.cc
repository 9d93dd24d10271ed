#include "supervisor/agent/kept_containers.h"

#include <algorithm>

#include "supervisor/keeper/kept_store.h"

namespace shmvisor {

bool KeptContainer::name(std::string_view id, std::string_view called) {
  if (id.size() + called.size() > text.size()) return false;
  std::ranges::copy(id, text.begin());
  std::ranges::copy(called, text.begin() + static_cast<std::ptrdiff_t>(id.size()));
  id_bytes = static_cast<std::uint16_t>(id.size());
  called_bytes = static_cast<std::uint16_t>(called.size());
  return true;
}

void KeptContainer::add(const ContainerScope::Part& part) {
  const std::string& path = part.control_group;
  const std::uint32_t used = paths_bytes.load();
  const std::uint32_t count = namespaces.load();
  const std::size_t at = std::size_t{id_bytes} + called_bytes + used;
  if (!path.empty() && path.size() < text.size() - at) {
    std::ranges::copy(path, text.begin() + static_cast<std::ptrdiff_t>(at));
    text.at(at + path.size()) = '\0';
    paths_bytes.store(used + static_cast<std::uint32_t>(path.size()) + 1);
  } else if (path.empty() && !part.everybody && count < kMostNamespaces) {
    pid_namespaces.at(count) = part.pid_namespace;
    namespaces.store(count + 1);
  } else {
    everybody.store(true);
  }
}

void KeptContainer::add_parts_to(ContainerScope& scope) const {
  std::string_view paths(text.data() + id_bytes + called_bytes, paths_bytes.load());
  while (!paths.empty()) {
    const std::size_t end = paths.find('\0');
    (void)scope.add({.control_group = std::string(paths.substr(0, end))});
    paths.remove_prefix(end + 1);
  }
  for (std::uint32_t i = 0; i < namespaces.load(); ++i) {
    ContainerScope::Part part;
    part.pid_namespace = pid_namespaces.at(i);
    (void)scope.add(part);
  }
  ContainerScope::Part all;
  all.everybody = everybody.load();
  if (all.everybody) (void)scope.add(all);
}

KeptContainers* KeptContainers::create() {
  return KeptStore::ours().object<KeptContainers>("containers");
}

void KeptContainers::list_descriptors(std::vector<int>& all) {
  sessions.for_each([&all](const KeptSession& session) {
    if (session.owner.told.load()) all.push_back(session.owner.file.load());
  });
  containers.for_each([&all](const KeptContainer& one) { all.push_back(one.home.file.load()); });
  listeners.for_each([&all](const KeptListener& one) {
    if (one.state.load() == KeptListener::kServed) all.push_back(one.fd);
  });
}

}  // namespace shmvisor
