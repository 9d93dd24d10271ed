// Which requests of clients are acts that an operator may have to account for, or that others want
// to see: those that change something, or read what only few may read.
//
// Thread rule: any thread.
#pragma once

#include <sys/socket.h>

#include <optional>
#include <string>

#include "supervisor/audit/audit_record.h"
#include "supervisor/control/contents_answer.h"
#include "supervisor/control/control_request.h"

namespace shmvisor {

/// Nothing of a request that only looks. `client`: who asks. `load`: what it has allocated before.
[[nodiscard]] std::optional<AuditRecord> act_of(const ControlRequest& request, const ucred& client,
                                                const ClientLoad& load);
/// Who it was: `by_pid`, `by_uid` and `by_command`.
void add_client(AuditRecord& record, const ucred& client);
/// What came of it: `result`, "ok" or the code of the refusal, and what is known by then alone.
/// `answer`: the line that the client gets.
void add_outcome(AuditRecord& act, const std::string& answer);

}  // namespace shmvisor
