#include "supervisor/control/hello_line.h"

#include <unistd.h>

#include "supervisor/control/protocol.h"
#include "supervisor/credentials/thread_identity.h"

namespace shmvisor {

std::string hello_line(const std::string& kind, const std::string& name, pid_t pid) {
  const auto pid_namespace = NamespaceIds::ours().pid;
  return control::to_line(
      {{"hello",
        {{"protocol", control::kProtocolVersion},
         {"version", SHMVISOR_VERSION},
         {"kind", kind},
         {"name", name.empty() ? control::Json() : control::Json(name)},
         {"pid", pid},
         {"server", ::getpid()},
         {"pid_namespace", pid_namespace == 0 ? control::Json() : control::Json(pid_namespace)},
         {"lists_all_segments", true}}}});
}

}  // namespace shmvisor
