#include "supervisor/control/hello_line.h"

#include <unistd.h>

#include <utility>

#include "supervisor/control/protocol.h"
#include "supervisor/credentials/thread_identity.h"
#include "supervisor/keeper/kept_store.h"
#include "supervisor/kernel/version.h"

namespace shmvisor {

std::string hello_line(const std::string& kind, const std::string& name, pid_t pid,
                       std::uint32_t refused_upgrades) {
  const auto pid_namespace = NamespaceIds::ours().pid;
  control::Json hello = {
      {"protocol", control::kProtocolVersion},
      {"version", program_version()},
      {"kind", kind},
      {"name", name.empty() ? control::Json() : control::Json(name)},
      {"pid", pid},
      {"server", ::getpid()},
      {"pid_namespace", pid_namespace == 0 ? control::Json() : control::Json(pid_namespace)},
      {"lists_all_segments", true}};
  if (const auto upgrades = KeptStore::ours().number("upgrades")) hello["upgrades"] = *upgrades;
  if (refused_upgrades != 0) hello["refused_upgrades"] = refused_upgrades;
  return control::to_line({{"hello", std::move(hello)}});
}

}  // namespace shmvisor
