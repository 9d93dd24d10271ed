// TableParts: parts of the tables of several registries of one session, with their attaches.
//
// To count attaches takes a look at all processes of the session, however many files it is for. So
// one look counts for all parts: with a look for each, a session with as many registries as
// processes would take time with the square of that number.
//
// Errors: of the count, those of Registry::count_attaches(). Ownership: shares registries and
// segments. Thread rule: one thread, not a main loop, without a lock.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "policy/base/result.h"
#include "supervisor/control/registry_json.h"

namespace shmvisor {

class TableParts {
 public:
  struct Part {
    std::shared_ptr<Registry> registry;
    std::vector<ShmTableRow> rows;
    std::vector<control::SegmentFacts> facts;  ///< of the rows
    bool is_counted = true;                    ///< shm_nattch of the rows is known

    /// Of each segment, as control::describe() has it.
    [[nodiscard]] control::Json segments() const;
  };

  /// Adds up to `most` rows from an index on. Answers the index behind them; kMaxIds behind the
  /// last.
  int add(std::shared_ptr<Registry> registry, int first_index, std::size_t most);
  /// Once, behind the last add(). Until then shm_nattch is 0. An error leaves parts uncounted of
  /// which a segment is mapped.
  Result<void> count_attaches();

  [[nodiscard]] const std::vector<Part>& parts() const { return parts_; }
  [[nodiscard]] std::size_t rows() const { return rows_; }  ///< of all

 private:
  std::vector<Part> parts_;
  std::size_t rows_ = 0;
};

}  // namespace shmvisor
