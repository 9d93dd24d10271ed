// run_kept_agent: an agent with a keeper. This process becomes the keeper, which gets the signals,
// tells the service manager how far the agent is, and has the exit status. Its servers, one after
// another, are the Agents (ServerKeeper).
//
// Thread rule: the main thread, while it is the only one.
#pragma once

#include "supervisor/agent/agent.h"

namespace shmvisor {

/// Names of what it keeps (KeptStore).
namespace kept_agent {
inline constexpr const char* kSocket = "agent socket";
inline constexpr const char* kControlSocket = "control socket";
inline constexpr const char* kName = "name";
inline constexpr const char* kManager = "service manager";
inline constexpr const char* kGroup = "group ";  ///< with its name
}  // namespace kept_agent

/// What the servers share. A clause where it cannot be had, or cannot be gone on with.
[[nodiscard]] Result<Agent::Shared, std::string> share_kept_agent(const AgentOptions& options,
                                                                  KernelFeatures& features);
/// The exit status.
int run_kept_agent(const AgentOptions& options, Agent::Groundwork groundwork,
                   const Agent::Shared& shared, const ServiceManager& manager);

/// An agent whose program is a next one of its keeper (Upgrader): it goes on with what KeptStore
/// has. Precondition: KeptStore::resumes().
int resume_agent(const AgentOptions& options, KernelFeatures& features);

}  // namespace shmvisor
