#include "integration/bench/session.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "integration/bench/interruption.h"

namespace shmvisor {
namespace {

/// `combine_two` of what belongs to one round, where both are there and it makes a number.
template <typename Combine>
std::optional<Summary> combine(const Cell& one, const Cell& base, Combine combine_two) {
  std::vector<double> combined;
  const std::size_t rounds = std::min(one.samples.size(), base.samples.size());
  for (std::size_t round = 0; round < rounds; ++round) {
    if (!one.samples[round] || !base.samples[round]) continue;
    const double number = combine_two(*one.samples[round], *base.samples[round]);
    if (std::isfinite(number)) combined.push_back(number);
  }
  return summarize(combined);
}

double divide(double value, double base) { return value / base; }

std::string short_number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g", value);
  return text.data();
}

bool at_least(const Goal& goal, Unit unit) {
  return goal.kind == GoalKind::kRate || higher_is_better(unit);
}

std::string goal_text(const Goal& goal, const Workload& workload) {
  const Unit unit = workload.unit;
  const bool bubblewrap = workload.floor == FloorKind::kBubblewrap;
  const std::string than = at_least(goal, unit) ? "≥ " : "≤ ";
  const std::string bound = (goal.further ? "then " : "") + than;
  switch (goal.kind) {
    case GoalKind::kOfNative:
      return bound + short_number(goal.bound) + " × native";
    case GoalKind::kOfFloor:
      return bound + short_number(goal.bound) + (bubblewrap ? " × bubblewrap" : " × floor");
    case GoalKind::kOfWorkload:
      return bound + short_number(goal.bound) + " × " + goal.other;
    case GoalKind::kRate:
      return bound + short_number(goal.bound) + " × rate of 1-process";
    case GoalKind::kOverNative:
      return bound + format_value(goal.bound, unit) + " over native";
    case GoalKind::kAbsolute:
      return bound + format_value(goal.bound, unit);
  }
  return {};
}

}  // namespace

std::optional<Summary> Cell::summary() const {
  std::vector<double> present;
  for (const auto& sample : samples) {
    if (sample) present.push_back(*sample);
  }
  return summarize(std::move(present));
}

std::string Verdict::met() const {
  if (!reached) return "not measured";
  const bool met = more_is_better ? reached->median >= goal.bound : reached->median <= goal.bound;
  return met ? "met" : "missed";
}

Session::Session(std::vector<Workload> workloads, RunSettings settings)
    : workloads_(std::move(workloads)),
      settings_(std::move(settings)),
      columns_(make_columns(settings_)),
      cells_(workloads_.size(), std::vector<Cell>(columns_.size())) {}

void Session::run(const std::function<void(const std::string&)>& progress) {
  const auto deadline = std::chrono::steady_clock::now() + settings_.bound;
  for (int round = 0; round < settings_.repeats; ++round) {
    for (std::size_t workload = 0; workload < workloads_.size(); ++workload) {
      if (interruption() != 0) return;
      if (std::chrono::steady_clock::now() >= deadline) {
        unfinished_round_ = round + 1;
        return;
      }
      progress("round " + std::to_string(round + 1) + "/" + std::to_string(settings_.repeats) +
               ": " + workloads_[workload].name);
      for (std::size_t i = 0; i < columns_.size(); ++i) {
        // To and fro, so that no column always comes first.
        const std::size_t column = round % 2 == 0 ? i : columns_.size() - 1 - i;
        measure(workload, column, static_cast<std::size_t>(round));
      }
    }
  }
}

void Session::measure(std::size_t workload, std::size_t column, std::size_t round) {
  Cell& cell = cells_[workload][column];
  if (!cell.reason.empty()) return;
  cell.samples.resize(round + 1);
  const auto placed = place(workloads_[workload], columns_[column], settings_);
  if (const auto* reason = std::get_if<std::string>(&placed)) {
    cell.reason = *reason;
    return;
  }
  Outcome outcome = workloads_[workload].measure(std::get<Placement>(placed));
  cell.samples[round] = outcome.value;
  if (!outcome.value) cell.reason = outcome.reason;
}

std::size_t Session::column_of(ColumnKind kind) const {
  const auto found = std::find_if(columns_.begin(), columns_.end(),
                                  [kind](const Column& column) { return column.kind == kind; });
  return static_cast<std::size_t>(found - columns_.begin());
}

std::optional<Summary> Session::ratio(std::size_t workload, std::size_t column,
                                      std::size_t base) const {
  return combine(cells_[workload][column], cells_[workload][base], divide);
}

std::optional<Summary> Session::reached(std::size_t workload, const Goal& goal) const {
  const std::size_t shmvisor = column_of(ColumnKind::kShmvisor);
  const std::size_t native = column_of(ColumnKind::kNative);
  const Cell& own = cells_[workload][shmvisor];
  switch (goal.kind) {
    case GoalKind::kOfNative:
      return ratio(workload, shmvisor, native);
    case GoalKind::kOfFloor:
      return ratio(workload, shmvisor, column_of(ColumnKind::kFloor));
    case GoalKind::kOfWorkload:
    case GoalKind::kRate: {
      const auto other =
          std::find_if(workloads_.begin(), workloads_.end(),
                       [&goal](const Workload& one) { return one.name == goal.other; });
      if (other == workloads_.end()) return std::nullopt;
      const auto index = static_cast<std::size_t>(other - workloads_.begin());
      const Cell& base = cells_[index][shmvisor];
      return goal.kind == GoalKind::kRate ? combine(base, own, divide) : combine(own, base, divide);
    }
    case GoalKind::kOverNative:
      return combine(own, cells_[workload][native],
                     [](double value, double base) { return value - base; });
    case GoalKind::kAbsolute:
      return own.summary();
  }
  return std::nullopt;
}

std::vector<Verdict> Session::verdicts(std::size_t workload) const {
  std::vector<Verdict> verdicts;
  const Unit unit = workloads_[workload].unit;
  for (const Goal& goal : workloads_[workload].goals) {
    Verdict verdict;
    verdict.text = goal_text(goal, workloads_[workload]);
    verdict.reached = reached(workload, goal);
    verdict.goal = goal;
    verdict.more_is_better = at_least(goal, unit);
    verdicts.push_back(std::move(verdict));
  }
  return verdicts;
}

}  // namespace shmvisor
