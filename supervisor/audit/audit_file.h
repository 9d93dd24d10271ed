// AuditFile: audit records in a file, a line each.
//
// Where a record would make the file larger than it may be, FILE becomes FILE.1, FILE.1 becomes
// FILE.2 and so on; the oldest goes. Where another program has moved the file away, a new one is
// made. Others may read none of them (0600).
//
// Errors: on a full disk, or where the file cannot be moved, records are lost until that is mended.
// Thread rule: of AuditOutput.
#pragma once

#include <sys/stat.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/audit/audit_output.h"
#include "supervisor/audit/audit_text.h"

namespace shmvisor {

class AuditFile final : public AuditOutput {
 public:
  struct Place {
    std::string path;
    std::uint64_t most_bytes = 0;  ///< of one file
    unsigned kept = 0;             ///< files beside the one that is written
  };
  /// The errno where it can neither be opened nor made; EINVAL where it is no regular file.
  static Result<std::unique_ptr<AuditFile>> open(Place place, AuditForm form, AuditSource source);

  bool write(const AuditRecord& record) override;

 private:
  AuditFile(Place place, AuditForm form, AuditSource source)
      : place_(std::move(place)), form_(form), source_(std::move(source)) {}

  [[nodiscard]] std::string line_of(const AuditRecord& record) const;
  Result<void> open_file();
  [[nodiscard]] bool was_moved() const;
  bool rotate();
  bool append(std::string_view text);
  /// Of a line that found no room, so that the file has this size again.
  void take_back(std::uint64_t bytes);

  const Place place_;
  const AuditForm form_;
  const AuditSource source_;
  UniqueFd file_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  std::uint64_t bytes_ = 0;
  bool torn_ = false;  ///< the last line has no end
};

}  // namespace shmvisor
