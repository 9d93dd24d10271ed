// Session: measures every workload in every column, in rounds, so that what changes on the machine
// meanwhile meets all columns alike; and compares what belongs to one round.
//
// Errors: a column that cannot be measured keeps the first reason and is not tried again.
// Thread rule: one thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "integration/bench/column.h"
#include "integration/bench/statistics.h"
#include "integration/bench/workload.h"

namespace shmvisor {

/// One workload in one column: a sample for each round, where there is one.
struct Cell {
  std::vector<std::optional<double>> samples;
  std::string reason;  ///< why there are none

  [[nodiscard]] std::optional<Summary> summary() const;
};

struct Verdict {
  std::string text;                ///< the goal, as one reads it
  std::optional<Summary> reached;  ///< in the goal's terms
  Goal goal;
  bool more_is_better = false;
  [[nodiscard]] std::string met() const;
};

class Session {
 public:
  Session(std::vector<Workload> workloads, RunSettings settings);

  /// `progress` hears what is about to be measured. Ends early where the settings' bound is reached
  /// or the benchmark is interrupted.
  void run(const std::function<void(const std::string&)>& progress);

  [[nodiscard]] const std::vector<Workload>& workloads() const { return workloads_; }
  [[nodiscard]] const std::vector<Column>& columns() const { return columns_; }
  [[nodiscard]] const RunSettings& settings() const { return settings_; }
  [[nodiscard]] const Cell& cell(std::size_t workload, std::size_t column) const {
    return cells_[workload][column];
  }
  /// The round, from 1, in which time ran out; 0 where it did not.
  [[nodiscard]] int unfinished_round() const { return unfinished_round_; }
  [[nodiscard]] std::size_t column_of(ColumnKind kind) const;

  /// The ratios of two columns, round by round; nothing where no round has both.
  [[nodiscard]] std::optional<Summary> ratio(std::size_t workload, std::size_t column,
                                             std::size_t base) const;
  [[nodiscard]] std::vector<Verdict> verdicts(std::size_t workload) const;

 private:
  void measure(std::size_t workload, std::size_t column, std::size_t round);
  [[nodiscard]] std::optional<Summary> reached(std::size_t workload, const Goal& goal) const;

  std::vector<Workload> workloads_;
  RunSettings settings_;
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> cells_;
  int unfinished_round_ = 0;
};

}  // namespace shmvisor
