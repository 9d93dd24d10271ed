// ReloadActs: those of clients who have asked for a reload, until it is known what came of it. A
// client may have left by then.
//
// Thread rule: the loop's thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/audit/audit_record.h"
#include "supervisor/session/reloader.h"

namespace shmvisor {

class ReloadActs {
 public:
  /// So many wait, where a disk keeps a reading for long.
  static constexpr std::size_t kMost = 64;

  /// One that has to be told at once, as unanswered, since no more may wait.
  [[nodiscard]] std::optional<AuditRecord> add(Reloader::Reading reading, AuditRecord act);
  [[nodiscard]] bool empty() const { return acts_.empty(); }
  /// Those of that reading and of earlier ones, with what came of it. `answer`: the line that
  /// clients get.
  [[nodiscard]] std::vector<AuditRecord> take(Reloader::Reading reading, const std::string& answer);
  /// All others, as unanswered: nobody waits any longer.
  [[nodiscard]] std::vector<AuditRecord> take_rest();

 private:
  struct Waiting {
    Reloader::Reading reading;
    AuditRecord act;
  };
  std::vector<Waiting> acts_;
};

}  // namespace shmvisor
