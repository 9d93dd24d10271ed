// hello_line(): what a client is told first: who serves it.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace shmvisor {

/// Of ControlServer::Identity. `name`: empty for none.
std::string hello_line(const std::string& kind, const std::string& name, pid_t pid,
                       std::uint32_t refused_upgrades);

}  // namespace shmvisor
