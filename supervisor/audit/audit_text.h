// The forms of an AuditRecord: a line of text for people, or of JSON, and fields for journald.
//
// Values come from outside, as names of commands do: whatever is not printable is shown as '?'.
//
// Thread rule: any thread.
#pragma once

#include <string>

#include "supervisor/audit/audit_record.h"

namespace shmvisor {

enum class AuditForm : std::uint8_t { kText, kJson };

/// Who writes: the members that all of its records have.
struct AuditSource {
  std::string kind;  ///< "run" or "agent"
  std::string name;  ///< empty: none
  int pid = 0;
};

/// `event name=value ...`: values with anything but letters, digits and the like are quoted.
[[nodiscard]] std::string audit_text(const AuditRecord& record);
/// An object, with the source's members and the time.
[[nodiscard]] std::string audit_json(const AuditRecord& record, const AuditSource& source);
/// The native form of systemd-journald: a field a line. `message`: what journalctl shows.
[[nodiscard]] std::string audit_fields(const AuditRecord& record, const AuditSource& source,
                                       const std::string& message);
/// As RFC 3339 has it, in UTC, to the microsecond.
[[nodiscard]] std::string audit_time(AuditRecord::Clock::time_point time);

}  // namespace shmvisor
