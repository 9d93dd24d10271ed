// An act of a client's, as the line that those who follow get of it (PROTOCOL.md, "follow").
//
// Thread rule: any thread.
#pragma once

#include <string>

#include "supervisor/audit/audit_record.h"

namespace shmvisor {

/// With its newline. May throw std::bad_alloc.
[[nodiscard]] std::string act_line(const AuditRecord& act);

}  // namespace shmvisor
