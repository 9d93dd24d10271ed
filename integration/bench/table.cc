#include "integration/bench/table.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>

namespace shmvisor {
namespace {

/// Characters, not bytes: UTF-8 continuation bytes take no room.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string ratio_text(const std::optional<Summary>& ratio) {
  if (!ratio) return "-";
  std::array<char, 64> text{};
  const int decimals = ratio->median >= 100 ? 0 : ratio->median >= 10 ? 1 : 2;
  std::snprintf(text.data(), text.size(), "%.*f (%.*f–%.*f)", decimals, ratio->median, decimals,
                ratio->lower_quartile, decimals, ratio->upper_quartile);
  return text.data();
}

std::string goal_cell(const Verdict& verdict, Unit unit) {
  std::string text = verdict.text + ": " + verdict.met();
  if (!verdict.reached) return text;
  const bool in_unit =
      verdict.goal.kind == GoalKind::kAbsolute || verdict.goal.kind == GoalKind::kOverNative;
  std::array<char, 32> ratio{};
  std::snprintf(ratio.data(), ratio.size(), "%.3g", verdict.reached->median);
  return text + " (" + (in_unit ? format_value(verdict.reached->median, unit) : ratio.data()) + ")";
}

std::vector<std::string> heading(const Session& session) {
  std::vector<std::string> cells = {"workload"};
  for (const Column& column : session.columns()) cells.push_back(column.name);
  cells.emplace_back("shmvisor/native");
  cells.emplace_back("shmvisor/floor");
  for (const Column& column : session.columns()) {
    if (column.kind == ColumnKind::kOther) cells.push_back(column.name + "/shmvisor");
  }
  cells.emplace_back("goal");
  return cells;
}

std::vector<std::string> row_of(const Session& session, std::size_t workload) {
  const Workload& what = session.workloads()[workload];
  const std::size_t shmvisor = session.column_of(ColumnKind::kShmvisor);
  std::vector<std::string> cells = {what.name};
  for (std::size_t column = 0; column < session.columns().size(); ++column) {
    const auto summary = session.cell(workload, column).summary();
    cells.push_back(summary ? format_value(summary->median, what.unit) : "-");
  }
  cells.push_back(
      ratio_text(session.ratio(workload, shmvisor, session.column_of(ColumnKind::kNative))));
  cells.push_back(
      ratio_text(session.ratio(workload, shmvisor, session.column_of(ColumnKind::kFloor))));
  for (std::size_t column = 0; column < session.columns().size(); ++column) {
    if (session.columns()[column].kind != ColumnKind::kOther) continue;
    cells.push_back(ratio_text(session.ratio(workload, column, shmvisor)));
  }
  std::string goals;
  for (const Verdict& verdict : session.verdicts(workload)) {
    goals += (goals.empty() ? "" : "; ") + goal_cell(verdict, what.unit);
  }
  cells.push_back(goals);
  return cells;
}

void print_row(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths,
               std::ostream& out) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string padding(widths[i] - width_of(cells[i]), ' ');
    const bool to_the_left = i == 0 || i + 1 == cells.size();
    line += (i == 0 ? "" : "  ") + (to_the_left ? cells[i] + padding : padding + cells[i]);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  out << line << '\n';
}

/// Why something is missing in the table.
void print_reasons(const Session& session, std::ostream& out) {
  std::set<std::string> said;
  for (std::size_t workload = 0; workload < session.workloads().size(); ++workload) {
    for (std::size_t column = 0; column < session.columns().size(); ++column) {
      const std::string& reason = session.cell(workload, column).reason;
      if (reason.empty() || reason == "no floor" || reason == "no supervisor") continue;
      const std::string line = "not measured: " + session.workloads()[workload].name + ", " +
                               session.columns()[column].name + ": " + reason;
      if (said.insert(line).second) out << line << '\n';
    }
  }
}

}  // namespace

void print_table(const Session& session, std::ostream& out) {
  std::vector<std::vector<std::string>> rows = {heading(session)};
  for (std::size_t workload = 0; workload < session.workloads().size(); ++workload) {
    rows.push_back(row_of(session, workload));
  }
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  for (const auto& row : rows) print_row(row, widths, out);
  print_reasons(session, out);
}

}  // namespace shmvisor
