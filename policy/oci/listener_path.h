// Where runtimes find the agent unless they are told another path: `shmvisor agent` listens there,
// so do its units (supervisor/agent/systemd), and `shmvisor oci-profile` names it.
#pragma once

namespace shmvisor {

inline constexpr const char* kDefaultListenerPath = "/run/shmvisor/agent.sock";

}  // namespace shmvisor
