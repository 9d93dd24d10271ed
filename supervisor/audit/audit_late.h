// LateAuditOutput: an output that is opened when the first record is written to it, and tried again
// with each record while it cannot be had. For the servers of a keeper: each of them has one of its
// own, and none of its descriptors was open before.
//
// Thread rule: of AuditOutput.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "supervisor/audit/audit_place.h"

namespace shmvisor {

class LateAuditOutput final : public AuditOutput {
 public:
  LateAuditOutput(AuditOptions options, AuditSource source)
      : options_(std::move(options)), source_(std::move(source)) {}

  Result<void, std::string> write(const AuditRecord& record) override;
  void note_in(AuditMark* mark) override { mark_ = mark; }
  [[nodiscard]] bool has(const AuditRecord& record, const AuditMark& mark) override {
    return open().ok() && output_->has(record, mark);
  }

 private:
  Result<void, std::string> open();

  const AuditOptions options_;
  const AuditSource source_;
  AuditMark* mark_ = nullptr;
  std::unique_ptr<AuditOutput> output_;
};

}  // namespace shmvisor
