// AuditStream: audit records on standard error, a line each.
//
// Whoever reads it may be slow or stopped: then the thread waits, and records beyond the queue are
// lost (AuditLog).
//
// Thread rule: of AuditOutput.
#pragma once

#include <string>
#include <utility>

#include "supervisor/audit/audit_output.h"
#include "supervisor/audit/audit_text.h"

namespace shmvisor {

class AuditStream final : public AuditOutput {
 public:
  /// `fd`: borrowed.
  AuditStream(int fd, AuditForm form, AuditSource source)
      : fd_(fd), form_(form), source_(std::move(source)) {}

  Result<void, std::string> write(const AuditRecord& record) override;

 private:
  const int fd_;
  const AuditForm form_;
  const AuditSource source_;
};

}  // namespace shmvisor
