#include "integration/bench/table.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <string_view>

#include "integration/bench/text_table.h"

namespace shmvisor {
namespace {

/// For a heading of a further column.
std::string short_name(const Column& column) {
  constexpr std::size_t kMost = 22;
  constexpr std::string_view kWithout = "without ";
  const std::string name = column.kind == ColumnKind::kWithout
                               ? "no " + column.name.substr(kWithout.size())
                               : column.name;
  return name.size() <= kMost ? name : name.substr(0, kMost - 1) + "…";
}

/// Five characters at most.
std::string ratio_text(double ratio) {
  const bool thousands = ratio >= 9999.5;
  if (thousands) ratio /= 1000;
  const int decimals = thousands || ratio >= 99.95 ? 0 : ratio >= 9.995 ? 1 : 2;
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f%s", decimals, ratio, thousands ? "k" : "");
  return text.data();
}

std::string range_text(const std::optional<Summary>& ratio) {
  if (!ratio) return "-";
  return ratio_text(ratio->median) + " (" + ratio_text(ratio->lower_quartile) + "–" +
         ratio_text(ratio->upper_quartile) + ")";
}

std::string range_text(const Summary& summary, Unit unit) {
  return format_value(summary.median, unit) + " (" + format_value(summary.lower_quartile, unit) +
         "–" + format_value(summary.upper_quartile, unit) + ")";
}

std::string value_text(const Session& session, std::size_t workload, std::size_t column) {
  const auto summary = session.cell(workload, column).summary();
  return summary ? format_value(summary->median, session.workloads()[workload].unit) : "-";
}

void print_facts(const Session& session, const Facts& facts, std::ostream& out) {
  std::string line;
  for (const auto& [name, value] : facts) {
    if (!line.empty()) line += "; ";
    line.append(name).append(": ").append(value);
  }
  print_wrapped(line, out);
  print_wrapped("Medians of " + std::to_string(session.settings().repeats) +
                    " rounds, in each of which every column is measured once. Ratios are those of "
                    "one round: their median (lower–upper quartile).",
                out);
  print_wrapped(
      "The floor is the least that the mechanism can cost: an allow-everything filter for calls "
      "that are not ours, a thread that answers at once for those that are, a caller that itself "
      "maps what it is handed for attaches; for the start it is bubblewrap.",
      out);
}

void print_measurements(const Session& session, std::ostream& out) {
  const std::size_t native = session.column_of(ColumnKind::kNative);
  const std::size_t floor = session.column_of(ColumnKind::kFloor);
  const std::size_t own = session.column_of(ColumnKind::kShmvisor);
  TextTable table({"workload", "native", "floor", "shmvisor", "× native", "× floor"},
                  TextTable::Align::kRight);
  for (std::size_t workload = 0; workload < session.workloads().size(); ++workload) {
    const std::string& name = session.workloads()[workload].name;
    const Cell& cell = session.cell(workload, own);
    if (!cell.summary() && !cell.reason.empty()) {
      table.add_note(name, "not measured: " + cell.reason);
      continue;
    }
    table.add({name, value_text(session, workload, native), value_text(session, workload, floor),
               value_text(session, workload, own), range_text(session.ratio(workload, own, native)),
               range_text(session.ratio(workload, own, floor))});
  }
  table.print(out);
}

/// The columns that were asked for, two beside each other.
void print_further_columns(const Session& session, std::ostream& out) {
  constexpr std::size_t kBeside = 2;
  const std::size_t own = session.column_of(ColumnKind::kShmvisor);
  if (own + 1 < session.columns().size()) {
    out << "\nFurther columns: what was measured, and that as a multiple of shmvisor's.\n";
  }
  std::size_t column = own + 1;
  while (column < session.columns().size()) {
    std::vector<std::size_t> shown;
    std::vector<std::string> heading = {"workload"};
    for (; column < session.columns().size() && shown.size() < kBeside; ++column) {
      shown.push_back(column);
      heading.emplace_back();
      heading.push_back(short_name(session.columns()[column]));
    }
    TextTable table(std::move(heading), TextTable::Align::kRight);
    for (std::size_t workload = 0; workload < session.workloads().size(); ++workload) {
      const bool any = std::any_of(shown.begin(), shown.end(), [&](std::size_t one) {
        return session.cell(workload, one).summary().has_value();
      });
      if (!any) continue;
      std::vector<std::string> cells = {session.workloads()[workload].name};
      for (const std::size_t one : shown) {
        cells.push_back(value_text(session, workload, one));
        cells.push_back(range_text(session.ratio(workload, one, own)));
      }
      table.add(std::move(cells));
    }
    if (table.empty()) continue;
    out << '\n';
    table.print(out);
  }
}

/// What is missing in the tables, but for what is said in its row.
void print_reasons(const Session& session, std::ostream& out) {
  const std::size_t own = session.column_of(ColumnKind::kShmvisor);
  std::map<std::pair<std::size_t, std::string>, std::vector<std::string>> workloads;
  for (std::size_t workload = 0; workload < session.workloads().size(); ++workload) {
    const std::string& said = session.cell(workload, own).reason;
    for (std::size_t column = 0; column < session.columns().size(); ++column) {
      const std::string& reason = session.cell(workload, column).reason;
      const bool told = reason.empty() || reason == said;
      if (told || reason == kNoFloor || reason == kNoSupervisor) continue;
      workloads[{column, reason}].push_back(session.workloads()[workload].name);
    }
  }
  if (!workloads.empty() || session.unfinished_round() != 0) out << '\n';
  for (const auto& [where, names] : workloads) {
    constexpr std::size_t kNamed = 4;
    std::string line = "Not measured in " + session.columns()[where.first].name + ": ";
    if (names.size() == session.workloads().size()) {
      line += "any";
    } else {
      for (std::size_t i = 0; i < std::min(names.size(), kNamed); ++i) {
        line += (i == 0 ? "" : ", ") + names[i];
      }
      if (names.size() > kNamed) line += " and " + std::to_string(names.size() - kNamed) + " more";
    }
    print_wrapped(line + ": " + where.second, out);
  }
  if (session.unfinished_round() != 0) {
    print_wrapped("Time ran out in round " + std::to_string(session.unfinished_round()) +
                      ": the rows further down have one sample less.",
                  out);
  }
}

std::string reached_text(const Verdict& verdict, Unit unit) {
  if (!verdict.reached) return "-";
  const bool in_unit =
      verdict.goal.kind == GoalKind::kAbsolute || verdict.goal.kind == GoalKind::kOverNative;
  return in_unit ? range_text(*verdict.reached, unit) : range_text(verdict.reached);
}

void print_goals(const Session& session, std::ostream& out) {
  TextTable table({"goal for", "", "measured", "verdict"}, TextTable::Align::kLeft);
  std::map<std::string, int> counts;
  for (std::size_t workload = 0; workload < session.workloads().size(); ++workload) {
    const Workload& what = session.workloads()[workload];
    for (const Verdict& verdict : session.verdicts(workload)) {
      table.add({what.name, verdict.text, reached_text(verdict, what.unit), verdict.met()});
      ++counts[verdict.met()];
    }
  }
  if (table.empty()) return;
  out << '\n';
  table.print(out);
  std::string sum;
  for (const auto& [verdict, count] : counts) {
    sum += (sum.empty() ? "" : ", ") + std::to_string(count) + " " + verdict;
  }
  out << sum << '\n';
}

}  // namespace

void print_table(const Session& session, const Facts& facts, std::ostream& out) {
  print_facts(session, facts, out);
  out << '\n';
  print_measurements(session, out);
  print_further_columns(session, out);
  print_reasons(session, out);
  print_goals(session, out);
}

}  // namespace shmvisor
