// The line that a client which follows calls gets for one of them (PROTOCOL.md).
//
// Made by hand: the main loop makes one for each call, for as long as anybody follows.
// Thread rule: any thread.
#pragma once

#include <string>

#include "supervisor/serve/call_event.h"

namespace shmvisor {

/// `registry`: what it is called. With its newline.
[[nodiscard]] std::string call_line(const CallEvent& event, const std::string& registry);

}  // namespace shmvisor
