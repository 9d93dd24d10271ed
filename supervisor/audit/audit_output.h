// AuditOutput: where audit records go: one of a file, standard error, syslog, journald.
//
// Thread rule: one thread, which may be kept for as long as a disk or a reader likes.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "policy/base/result.h"
#include "supervisor/audit/audit_record.h"

namespace shmvisor {

/// Where in a file a record is about to be written, for another process that goes on when this one
/// dies.
struct AuditMark {
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::atomic<std::uint64_t> bytes{kNone};  ///< that the file has before it; set last
};

class AuditOutput {
 public:
  AuditOutput() = default;
  AuditOutput(const AuditOutput&) = delete;
  AuditOutput& operator=(const AuditOutput&) = delete;
  virtual ~AuditOutput() = default;

  /// What is wrong, where the record is lost; it is not written in part then, or what follows
  /// begins a line of its own. May throw std::bad_alloc.
  virtual Result<void, std::string> write(const AuditRecord& record) = 0;

  /// From now on where each record is written is noted in `mark`, borrowed, if it can be found
  /// there again.
  virtual void note_in(AuditMark* /*mark*/) {}
  /// Whether a process that died has written the record there.
  [[nodiscard]] virtual bool has(const AuditRecord& /*record*/, const AuditMark& /*mark*/) {
    return false;
  }
};

}  // namespace shmvisor
