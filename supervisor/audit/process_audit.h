// The audit of this process: one AuditLog for all that happens in it, where an operator wants one.
//
// Thread rule: open, begin and end once, from the main thread; the others from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "supervisor/audit/audit_log.h"
#include "supervisor/audit/audit_place.h"

namespace shmvisor {

/// Null where no audit is wanted. It costs one load.
[[nodiscard]] AuditLog* process_audit() noexcept;

enum class AuditOf : std::uint8_t {
  kProcess,
  kServers,      ///< clones of this process, one after another, each of which begins
  kNextServers,  ///< the same of a program that goes on with another one's state
};

/// A sentence where the place cannot be had; nothing else comes of it then. Those who go on do
/// without it, and try again.
std::optional<std::string> open_process_audit(const AuditOptions& options,
                                              const AuditSource& source, AuditOf of);
/// Records are written from now on. A sentence where no thread can be had for that.
std::optional<std::string> begin_process_audit();
/// Waits until all is written, and warns of records that were lost.
void end_process_audit(std::chrono::milliseconds bound) noexcept;

/// Adds what `make` answers, where an audit is wanted and `cause` may cause one more record.
template <typename Make>
void audit(uid_t cause, Make&& make) noexcept {
  AuditLog* const log = process_audit();
  if (log == nullptr || !log->allows(cause)) return;
  try {
    log->add(std::forward<Make>(make)(), cause);
  } catch (const std::exception&) {  // no memory, most likely
    log->lose_one();
  }
}

}  // namespace shmvisor
