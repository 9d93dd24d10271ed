// Which requests of clients are acts that an operator may have to account for, or that others want
// to see: those that change something, or read what only few may read.
//
// Thread rule: any thread.
#pragma once

#include <sys/socket.h>

#include <optional>
#include <string>

#include "supervisor/audit/audit_record.h"
#include "supervisor/control/control_request.h"

namespace shmvisor {

/// Nothing of a request that only looks. `client`: who asks.
[[nodiscard]] std::optional<AuditRecord> act_of(const ControlRequest& request, const ucred& client);
/// What came of it: "ok", or the code of the refusal. `answer`: the line that the client gets.
[[nodiscard]] std::string result_of(const std::string& answer);

}  // namespace shmvisor
