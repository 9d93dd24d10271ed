// AuditOptions: where an operator wants audit records, as he says it: "stderr", "syslog",
// "journald", or the path of a file. "syslog:PATH" and "journald:PATH" name another socket.
//
// Thread rule: plain values.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "policy/base/result.h"
#include "supervisor/audit/audit_output.h"
#include "supervisor/audit/audit_text.h"

namespace shmvisor {

struct AuditOptions {
  std::string place;  ///< empty: nowhere
  AuditForm form = AuditForm::kText;
  std::uint64_t most_bytes = std::uint64_t{16} << 20;  ///< of one file
  unsigned kept = 5;                                   ///< older files
};

/// What is wrong with the text of a place; empty where nothing is. A path has a '/'.
[[nodiscard]] std::string check_audit_place(const std::string& place);

/// Whether it is the path of a file. Precondition: it is right.
[[nodiscard]] bool is_audit_file(const std::string& place);

/// A sentence where it cannot be had. Precondition: a place that is wanted, and right.
[[nodiscard]] Result<std::unique_ptr<AuditOutput>, std::string> open_audit_output(
    const AuditOptions& options, const AuditSource& source);

}  // namespace shmvisor
