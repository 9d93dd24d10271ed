#include "supervisor/control/named_registry.h"

namespace shmvisor {

std::string registry_name(const std::string& main, std::uint64_t ipc_namespace) {
  if (ipc_namespace == 0) return main;
  const std::string inner = "ipc:[" + std::to_string(ipc_namespace) + "]";
  return main == kMainRegistry ? inner : main + "/" + inner;
}

std::vector<NamedRegistry> registries_of(const std::vector<NamedSession>& sessions) {
  std::vector<NamedRegistry> named;
  for (const NamedSession& one : sessions) {
    const Registries& registries = one.session->registries();
    named.push_back(
        {one.name, 0, registries.initial(), one.session->namespaces().initial_is_private()});
    for (const IpcNamespaceId id : registries.others()) {
      // It may have ended meanwhile.
      if (auto registry = registries.find(id)) {
        named.push_back({registry_name(one.name, id), id, std::move(registry)});
      }
    }
  }
  return named;
}

}  // namespace shmvisor
