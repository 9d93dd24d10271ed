// run_kept_agent: an agent with a keeper. This process becomes the keeper, which gets the signals,
// tells the service manager how far the agent is, and has the exit status. Its servers, one after
// another, are the Agents (ServerKeeper).
//
// Thread rule: the main thread, while it is the only one.
#pragma once

#include "supervisor/agent/agent.h"

namespace shmvisor {

/// The exit status.
int run_kept_agent(const AgentOptions& options, Agent::Groundwork groundwork,
                   const ServiceManager& manager, KernelFeatures& features);

}  // namespace shmvisor
