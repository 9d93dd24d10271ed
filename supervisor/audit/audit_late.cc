#include "supervisor/audit/audit_late.h"

namespace shmvisor {

Result<void, std::string> LateAuditOutput::write(const AuditRecord& record) {
  if (auto opened = open(); !opened) return opened;
  return output_->write(record);
}

Result<void, std::string> LateAuditOutput::open() {
  if (output_ != nullptr) return {};
  auto opened = open_audit_output(options_, source_);
  if (!opened) return opened.error();
  output_ = std::move(*opened);
  output_->note_in(mark_);
  return {};
}

}  // namespace shmvisor
