#include "integration/bench/column.h"

#include <algorithm>
#include <sstream>

#include "integration/bench/machine.h"
#include "integration/bench/observed.h"
#include "integration/bench/worker_run.h"

namespace shmvisor {
namespace {

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

/// "NAME=PREFIX", or a prefix that is its own name.
Column rival_column(const std::string& rival) {
  const std::size_t equals = rival.find('=');
  const bool named = equals != std::string::npos && equals > 0 && equals < rival.find(' ');
  if (!named) return {ColumnKind::kRival, rival, words_of(rival)};
  return {ColumnKind::kRival, rival.substr(0, equals), words_of(rival.substr(equals + 1))};
}

std::vector<std::string> shmvisor_prefix(const RunSettings& settings, const std::string& without) {
  std::vector<std::string> prefix = {settings.shmvisor, "run", "--shmmni", "32768"};
  if (!without.empty()) prefix.insert(prefix.end(), {"--without", without});
  prefix.emplace_back("--");
  return prefix;
}

std::variant<Placement, std::string> place_at_floor(const Workload& workload, Placement placement) {
  switch (workload.floor) {
    case FloorKind::kNone:
      return std::string(kNoFloor);
    case FloorKind::kAllowFilter:
      placement.prefix = {placement.self, "--allow-filter"};
      return placement;
    case FloorKind::kNotification:
      // As many as can run: more of them would only wake on colder CPUs.
      placement.prefix = {placement.self, "--floor-supervisor",
                          std::to_string(std::min(workload.callers, cpu_count()))};
      placement.cooperate = true;
      return placement;
    case FloorKind::kBubblewrap:
      if (!on_path("bwrap")) return "bwrap is missing (Debian package bubblewrap)";
      placement.prefix = {"bwrap", "--dev-bind", "/", "/", "--"};
      return placement;
  }
  return std::string(kNoFloor);
}

}  // namespace

std::vector<Column> make_columns(const RunSettings& settings) {
  std::vector<Column> columns = {
      {ColumnKind::kNative, "native", {}},
      {ColumnKind::kFloor, "floor", {}},
      {ColumnKind::kShmvisor, "shmvisor", shmvisor_prefix(settings, "")},
  };
  for (const std::string& feature : settings.without) {
    columns.push_back(
        {ColumnKind::kWithout, "without " + feature, shmvisor_prefix(settings, feature)});
  }
  for (const std::string& observer : settings.observers) {
    columns.push_back(
        {ColumnKind::kObserved, "with " + observer,
         observed_prefix(observer, settings.self, settings.shmvisor, settings.scratch)});
  }
  for (const std::string& rival : settings.rivals) {
    columns.push_back(rival_column(rival));
  }
  return columns;
}

std::variant<Placement, std::string> place(const Workload& workload, const Column& column,
                                           const RunSettings& settings) {
  Placement placement;
  placement.self = settings.self;
  placement.budget = settings.budget;
  placement.prefix = column.prefix;
  if (column.kind == ColumnKind::kFloor) return place_at_floor(workload, std::move(placement));
  const bool is_start = workload.floor == FloorKind::kBubblewrap;
  if (is_start && !column.prefix.empty() && column.prefix.front() == settings.self) {
    return "the command starts when it is followed";
  }
  if (!column.prefix.empty() && !on_path(column.prefix.front())) {
    return column.prefix.front() + " is missing";
  }
  return placement;
}

}  // namespace shmvisor
