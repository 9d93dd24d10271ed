#include <spdlog/spdlog.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "supervisor/agent/kept_agent.h"
#include "supervisor/keeper/kept_store.h"
#include "supervisor/keeper/program_exec.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/launch/resumed_state.h"

namespace shmvisor {
namespace {

/// What an agent was started with, and cannot change.
AgentOptions as_it_was(AgentOptions options) {
  options.control.path = kept_socket(kept_agent::kControlSocket).file.path;
  options.control.name = KeptStore::ours().text(kept_agent::kName);
  std::erase_if(options.open_groups, [](const GroupSocket& group) {
    const bool is_new = kept_socket(kept_agent::kGroup + group.group).fd < 0;
    if (is_new) spdlog::warn("--serve-group {}: it is new, and needs a restart", group.group);
    return is_new;
  });
  return options;
}

Agent::Groundwork groundwork_of(const AgentOptions& options, const KeptSocket& socket,
                                KernelFeatures& features) {
  Agent::Groundwork groundwork{
      ListeningSocket::take_over(UniqueFd(socket.fd), SocketFile(socket.file)),
      std::make_shared<SessionResources>(features)};
  for (const GroupSocket& group : options.open_groups) {
    const KeptSocket there = kept_socket(kept_agent::kGroup + group.group);
    groundwork.open_groups.push_back(
        {group.group, JoinSocket::take(UniqueFd(there.fd), SocketFile(there.file))});
  }
  if (const KeptSocket there = kept_socket(kept_agent::kControlSocket); there.fd >= 0) {
    groundwork.control.emplace(ControlSocket::take(UniqueFd(there.fd), SocketFile(there.file)));
  }
  return groundwork;
}

int cannot(const std::string& why) {
  go_back(why);
  return exit_status::kOwnFailure;
}

}  // namespace

int resume_agent(const AgentOptions& given, KernelFeatures& features) {
  if (!given.keeper) {
    return cannot("the agent has a keeper, and this reading of its options has not");
  }
  const AgentOptions options = as_it_was(given);
  const KeptSocket socket = kept_socket(kept_agent::kSocket);
  if (socket.fd < 0) return cannot("the agent's socket was not handed over");
  if (const auto trouble = open_resumed_audit(
          options.audit, {"agent", options.control.name, static_cast<int>(::getpid())})) {
    return cannot(*trouble);
  }
  const auto shared = share_kept_agent(options, features);
  if (!shared) return cannot(shared.error());
  end_where_only_asked();
  ServiceManager manager;
  manager.use(KeptStore::ours().text(kept_agent::kManager));
  return run_kept_agent(options, groundwork_of(options, socket, features), *shared, manager);
}

}  // namespace shmvisor
