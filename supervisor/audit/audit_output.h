// AuditOutput: where audit records go: one of a file, standard error, syslog, journald.
//
// Thread rule: one thread, which may be kept for as long as a disk or a reader likes.
#pragma once

#include <string>

#include "policy/base/result.h"
#include "supervisor/audit/audit_record.h"

namespace shmvisor {

class AuditOutput {
 public:
  AuditOutput() = default;
  AuditOutput(const AuditOutput&) = delete;
  AuditOutput& operator=(const AuditOutput&) = delete;
  virtual ~AuditOutput() = default;

  /// What is wrong, where the record is lost; it is not written in part then, or what follows
  /// begins a line of its own. May throw std::bad_alloc.
  virtual Result<void, std::string> write(const AuditRecord& record) = 0;
};

}  // namespace shmvisor
