// AuditSocket: audit records for syslog or systemd-journald, a datagram each.
//
// syslog gets the form of RFC 3164 that syslog(3) has, with the facility LOG_AUTHPRIV. journald
// gets its native protocol (systemd.io, JOURNAL_NATIVE_PROTOCOL): each value is a field of its own,
// and can be asked for (`journalctl SHMVISOR_EVENT=refusal`), which a line on standard output could
// not. Both are spoken here: syslog(3) tells of no loss and knows one path, and libsystemd, which
// spdlog's sink for journald needs, is no archive that a static program could take.
//
// Errors: a record that nobody takes within kPatience is lost. Where the daemon has ended, the next
// record tries to reach another one. Thread rule: of AuditOutput.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/audit/audit_output.h"
#include "supervisor/audit/audit_text.h"

namespace shmvisor {

class AuditSocket final : public AuditOutput {
 public:
  static constexpr std::chrono::milliseconds kPatience{1000};
  static constexpr const char* kSyslog = "/dev/log";
  static constexpr const char* kJournald = "/run/systemd/journal/socket";

  enum class Daemon : std::uint8_t { kSyslog, kJournald };

  /// The errno where nobody listens there.
  static Result<std::unique_ptr<AuditSocket>> connect(Daemon daemon, std::string path,
                                                      AuditForm form, AuditSource source);

  Result<void, std::string> write(const AuditRecord& record) override;

 private:
  AuditSocket(Daemon daemon, std::string path, AuditForm form, AuditSource source)
      : daemon_(daemon), path_(std::move(path)), form_(form), source_(std::move(source)) {}

  Result<void> connect_again();
  [[nodiscard]] std::string datagram_of(const AuditRecord& record) const;

  const Daemon daemon_;
  const std::string path_;
  const AuditForm form_;
  const AuditSource source_;
  UniqueFd socket_;
};

}  // namespace shmvisor
