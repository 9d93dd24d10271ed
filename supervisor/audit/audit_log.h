// AuditLog: hands audit records to an output, in a thread of its own: whoever adds one never waits.
//
// A user can repeat whatever makes a record, until the records of others have left the files. So
// each has an allowance (Allowances). What is beyond is left out; a record "left_out" tells the
// count for each user, every second and at the end.
//
// Records wait in a queue of kMostRecords; of what one user caused fewer wait than there is room
// for others. Further ones are lost. What was lost, there and by the output, is counted; a record
// "lost" tells the count as soon as the output takes records again. The first record that the
// output does not take is told in the log too, and when it takes records again.
//
// With an AuditBacklog records wait there, too, and whoever begins with it after a death goes on
// with those that are left: each is written once, but for one that was just being written to
// anything else than a file. What was counted for a user since the last telling is lost.
//
// Ownership: the thread shares what it uses, and may outlive this. Borrows the backlog. Thread
// rule: allows(), add() and lose_one() from any thread, with any lock held; the others from one
// thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "policy/base/result.h"
#include "supervisor/audit/audit_backlog.h"
#include "supervisor/audit/audit_output.h"

namespace shmvisor {

class AuditLog {
 public:
  static constexpr std::size_t kMostRecords = 4096;
  /// The allowance of a user: so many records at once, and then one after each such time.
  static constexpr int kRecordsAtOnce = 256;
  static constexpr std::chrono::milliseconds kForOneMore{100};
  static constexpr std::chrono::seconds kBetweenTellings{1};
  /// The cause of what no supervised user does. No allowance bounds it.
  static constexpr uid_t kNobody = static_cast<uid_t>(-1);

  /// `backlog`: null where nobody goes on after a death.
  explicit AuditLog(std::unique_ptr<AuditOutput> output, AuditBacklog* backlog = nullptr);
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;
  ~AuditLog();

  /// Records are written from now on; those that were added before, too. EAGAIN where no thread can
  /// be created. From a thread that has our identity and may use all CPUs.
  Result<void> begin();
  /// Whether `cause`, the user who is accountable for it, may cause a record now. It is counted
  /// where not.
  [[nodiscard]] bool allows(uid_t cause) noexcept;
  /// Precondition: allows(cause), once for each record.
  void add(AuditRecord record, uid_t cause) noexcept;
  /// Counts a record that could not be made.
  void lose_one() noexcept;
  /// Waits until all records added before are written, and it is told what was left out before.
  /// False where the bound comes first.
  bool flush(std::chrono::milliseconds bound) noexcept;
  /// All that were lost so far.
  [[nodiscard]] std::uint64_t lost() const;

 private:
  struct State;

  const std::shared_ptr<State> state_;
};

}  // namespace shmvisor
