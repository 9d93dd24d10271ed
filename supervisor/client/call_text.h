// What a run told of, as text: a call in strace's form or as an event, and an act as an event.
//
// Thread rule: any thread. Members that are missing or of another type throw an exception of
// nlohmann's.
#pragma once

#include <string>

#include "supervisor/client/run_connection.h"

namespace shmvisor::client {

/// `call`: the object of PROTOCOL.md. As strace --decode-pids=comm prints it, with what denied the
/// call behind it. Without a newline.
[[nodiscard]] std::string as_strace(const Json& call);

/// "create", "attach", "detach", "remove" or "refusal"; empty where the call is none of these.
[[nodiscard]] std::string event_kind(const Json& call);
/// A line about it, without its newline. Precondition: it is one.
[[nodiscard]] std::string as_event(const Json& call);
/// The same about an act of a client's: the object of PROTOCOL.md.
[[nodiscard]] std::string as_act(const Json& act);
/// The same about a segment that went by itself.
[[nodiscard]] std::string as_cleaned(const Json& cleaned);

}  // namespace shmvisor::client
