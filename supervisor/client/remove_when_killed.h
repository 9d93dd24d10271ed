// remove_when_killed(): a file that goes with its process, where a signal ends that. What SIGKILL
// ends leaves it.
//
// Thread rule: once, from the main thread.
#pragma once

#include <string>

namespace shmvisor::client {

/// `path`: empty for none. Signals that are ignored, or that have a handler, stay so.
void remove_when_killed(const std::string& path);

}  // namespace shmvisor::client
