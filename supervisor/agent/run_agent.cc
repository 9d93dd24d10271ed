// `shmvisor agent`, from its options to its exit status.
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>
#include <vector>

#include "policy/oci/listener_path.h"
#include "supervisor/agent/agent.h"
#include "supervisor/agent/kept_agent.h"
#include "supervisor/audit/process_audit.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/keeper/kept_store.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/launch/inherited_limits.h"
#include "supervisor/session/end_process.h"

namespace shmvisor {
namespace {

/// As the socket unit does. A sentence where the folder cannot be had.
std::string make_default_folder() {
  const std::string path = kDefaultListenerPath;
  const std::string folder = path.substr(0, path.rfind('/'));
  constexpr mode_t kFolderMode = 0700;
  if (::mkdir(folder.c_str(), kFolderMode) == 0 || errno == EEXIST) return {};
  return "cannot make " + folder + ": " + std::strerror(errno) + "; give --socket PATH";
}

Result<ListeningSocket, ListeningSocket::Trouble> find_socket(const AgentOptions& options,
                                                              ServiceManager& manager) {
  std::vector<UniqueFd> handed_over = manager.take_sockets();
  if (!options.socket.empty()) return ListeningSocket::make(options.socket);
  if (handed_over.size() == 1) return ListeningSocket::take(std::move(handed_over.front()));
  if (!handed_over.empty()) return ListeningSocket::Trouble{"more than one socket was handed over"};
  if (std::string trouble = make_default_folder(); !trouble.empty()) {
    return ListeningSocket::Trouble{std::move(trouble)};
  }
  return ListeningSocket::make(kDefaultListenerPath);
}

int fail(const std::string& why) {
  spdlog::critical("{}", why);
  return exit_status::kOwnFailure;
}

}  // namespace

int run_agent(const AgentOptions& options, KernelFeatures& features) {
  AgentSignals::block();
  KickTimer::install_handler(nullptr);
  ::signal(SIGPIPE, SIG_IGN);  // the log's reader may be gone
  InheritedLimits().raise();
  if (KeptStore::ours().resumes()) return resume_agent(options, features);

  if (const auto trouble = open_process_audit(
          options.audit, {"agent", options.control.name, static_cast<int>(::getpid())},
          options.keeper ? AuditOf::kServers : AuditOf::kProcess)) {
    return fail(*trouble);
  }
  ServiceManager manager;
  auto socket = find_socket(options, manager);
  if (!socket) return fail(socket.error().text);
  auto groundwork = Agent::lay_groundwork(options, std::move(*socket), features);
  if (!groundwork) return fail(groundwork.error());
  if (options.keeper) {
    const auto shared = share_kept_agent(options, features);
    if (!shared) return fail("--keeper: " + shared.error());
    return run_kept_agent(options, std::move(*groundwork), *shared, manager);
  }
  Agent agent(options, std::move(*groundwork), manager, nullptr);
  const Agent::Ending ending = agent.run();
  if (!ending.drained) end_process_at_once(ending.status);
  return ending.status;
}

}  // namespace shmvisor
