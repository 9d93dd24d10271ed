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
    const auto user_limits = one.session->user_limits();
    const std::uint32_t number = one.session->number();
    named.push_back({one.name, 0, registries.initial(),
                     one.session->namespaces().initial_is_private(), user_limits, number});
    for (const IpcNamespaceId id : registries.others()) {
      // It may have ended meanwhile.
      if (auto registry = registries.find(id)) {
        named.push_back(
            {registry_name(one.name, id), id, std::move(registry), false, user_limits, number});
      }
    }
  }
  return named;
}

std::pair<std::shared_ptr<Session>, std::shared_ptr<Registry>> find_with_session(
    const std::vector<NamedSession>& sessions, const std::string& name) {
  for (const NamedSession& one : sessions) {
    // There may be very many others.
    if (one.name != kMainRegistry && !name.starts_with(one.name)) continue;
    for (auto& named : registries_of({one})) {
      if (named.name == name) return {one.session, std::move(named.registry)};
    }
  }
  return {};
}

std::shared_ptr<Registry> find_registry(const std::vector<NamedSession>& sessions,
                                        const std::string& name) {
  return find_with_session(sessions, name).second;
}

control::Refusal no_such_registry(const std::string& name) {
  return {"no-such-registry", "there is no registry '" + name + "'"};
}

control::Refusal no_such_segment(int shmid) {
  return {"no-such-segment", "there is no segment " + std::to_string(shmid)};
}

void note_peaks(const std::vector<NamedSession>& sessions) {
  for (const NamedSession& session : sessions) {
    for (const NamedRegistry& named : registries_of({session})) {
      session.session->tally().note_peak({session.session->number(), named.ipc_namespace},
                                         *named.registry);
    }
  }
}

}  // namespace shmvisor
