#include "supervisor/audit/process_audit.h"

#include <spdlog/spdlog.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <utility>

#include "supervisor/audit/audit_late.h"

namespace shmvisor {
namespace {

std::atomic<AuditLog*> g_audit{nullptr};

}  // namespace

AuditLog* process_audit() noexcept { return g_audit.load(std::memory_order_acquire); }

std::optional<std::string> open_process_audit(const AuditOptions& options,
                                              const AuditSource& source, AuditOf of) {
  if (options.place.empty()) return std::nullopt;
  std::unique_ptr<AuditOutput> output;
  AuditBacklog* backlog = nullptr;
  if (of != AuditOf::kNextServers) {
    auto opened = open_audit_output(options, source);
    if (!opened) return opened.error();
    output = std::move(*opened);
  }
  if (of != AuditOf::kProcess) {
    backlog = AuditBacklog::create();
    if (backlog == nullptr) return "--audit: no memory for it";
    output = std::make_unique<LateAuditOutput>(options, source);
  }
  // Never destroyed: threads that nobody waits for may add to it until the very end.
  g_audit.store(new AuditLog(std::move(output), backlog), std::memory_order_release);  // NOLINT
  return std::nullopt;
}

std::optional<std::string> begin_process_audit() {
  AuditLog* const log = process_audit();
  if (log == nullptr) return std::nullopt;
  const auto begun = log->begin();
  if (begun) return std::nullopt;
  return std::string("--audit: cannot start a thread for it: ") +
         std::strerror(begun.error().value());
}

void end_process_audit(std::chrono::milliseconds bound) noexcept {
  AuditLog* const log = process_audit();
  if (log == nullptr) return;
  const bool all_written = log->flush(bound);
  if (!all_written)
    spdlog::warn("--audit: what it writes to takes too long; some records are lost");
  if (const auto lost = log->lost(); lost != 0) {
    spdlog::warn("--audit: {} {} lost", lost, lost == 1 ? "record was" : "records were");
  }
}

}  // namespace shmvisor
