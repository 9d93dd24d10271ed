// AuditFile: audit records in a file, a line each.
//
// Where a record would make the file larger than it may be, FILE becomes FILE.1, FILE.1 becomes
// FILE.2 and so on; the oldest goes. Where another program has moved the file away, a new one is
// made. Others may read none of them (0600). Several processes may write one: each looks at its
// size, and the one that holds its flock(2) moves it.
//
// A file of another user's is refused, and a symbolic link of another user's is not followed: it
// could lead to any file that we may write.
//
// Errors: where a file cannot be moved, all stay what they are, and the one that is written grows
// until it is as large as all of them may be; then, and on a full disk, records are lost until that
// is mended. It tries again every second. Thread rule: of AuditOutput.
#pragma once

#include <sys/stat.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/audit/audit_output.h"
#include "supervisor/audit/audit_text.h"

namespace shmvisor {

class AuditFile final : public AuditOutput {
 public:
  static constexpr std::chrono::seconds kBetweenTries{1};

  struct Place {
    std::string path;
    std::uint64_t most_bytes = 0;  ///< of one file
    unsigned kept = 0;             ///< files beside the one that is written
  };
  /// What is wrong where it can neither be opened nor made, or is no file to write to.
  static Result<std::unique_ptr<AuditFile>, std::string> open(Place place, AuditForm form,
                                                              AuditSource source);

  Result<void, std::string> write(const AuditRecord& record) override;
  void note_in(AuditMark* mark) override { mark_ = mark; }
  [[nodiscard]] bool has(const AuditRecord& record, const AuditMark& mark) override;

 private:
  using Clock = std::chrono::steady_clock;

  AuditFile(Place place, AuditForm form, AuditSource source)
      : place_(std::move(place)), form_(form), source_(std::move(source)) {}

  [[nodiscard]] std::string line_of(const AuditRecord& record) const;
  Result<void, std::string> open_file();
  /// Opens the file anew where another program has moved it; takes its size otherwise.
  Result<void, std::string> look();
  /// For one more line. What is wrong where all that the files may have is used.
  Result<void, std::string> make_room(std::size_t more);
  /// Nothing where another process is about it.
  std::optional<Result<void, std::string>> rotate();
  Result<void, std::string> move_away();
  Result<void, std::string> shift();
  void unshift(unsigned first);
  [[nodiscard]] std::string numbered(unsigned number) const;
  void tell_of_rotation(const Result<void, std::string>& outcome);
  Result<void, std::string> append(std::string_view text);
  /// Of a line that found no room, so that the file has this size again.
  void take_back(std::uint64_t bytes);

  const Place place_;
  const AuditForm form_;
  const AuditSource source_;
  std::string path_;  ///< where the place's links lead
  UniqueFd file_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  std::uint64_t bytes_ = 0;
  AuditMark* mark_ = nullptr;
  bool torn_ = false;   ///< the last line has no end
  bool stuck_ = false;  ///< the last rotation failed
  Clock::time_point next_try_;
};

}  // namespace shmvisor
