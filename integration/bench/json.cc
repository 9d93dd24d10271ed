#include "integration/bench/json.h"

#include <nlohmann/json.hpp>

namespace shmvisor {
namespace {

using Json = nlohmann::ordered_json;

Json summary_of(const std::optional<Summary>& summary) {
  if (!summary) return nullptr;
  return {{"median", summary->median},
          {"lower_quartile", summary->lower_quartile},
          {"upper_quartile", summary->upper_quartile}};
}

Json cell_of(const Cell& cell) {
  Json samples = Json::array();
  for (const auto& sample : cell.samples) {
    if (sample) {
      samples.push_back(*sample);
    } else {
      samples.push_back(nullptr);
    }
  }
  Json object = {{"summary", summary_of(cell.summary())}, {"samples", std::move(samples)}};
  if (!cell.reason.empty()) object["not_measured"] = cell.reason;
  return object;
}

const char* unit_name(Unit unit) {
  switch (unit) {
    case Unit::kNanoseconds:
      return "nanoseconds";
    case Unit::kBytes:
      return "bytes";
    case Unit::kBytesPerSecond:
      return "bytes per second";
    case Unit::kPerSecond:
    case Unit::kWakeUps:
      return "per second";
  }
  return "";
}

Json workload_of(const Session& session, std::size_t workload) {
  const Workload& what = session.workloads()[workload];
  const auto& columns = session.columns();
  const std::size_t own = session.column_of(ColumnKind::kShmvisor);
  Json object = {{"name", what.name}, {"unit", unit_name(what.unit)}};
  Json& cells = object["columns"] = Json::object();
  Json& to_shmvisor = object["to_shmvisor"] = Json::object();
  for (std::size_t column = 0; column < columns.size(); ++column) {
    cells[columns[column].name] = cell_of(session.cell(workload, column));
    if (column <= own) continue;
    to_shmvisor[columns[column].name] = summary_of(session.ratio(workload, column, own));
  }
  object["shmvisor_to_native"] =
      summary_of(session.ratio(workload, own, session.column_of(ColumnKind::kNative)));
  object["shmvisor_to_floor"] =
      summary_of(session.ratio(workload, own, session.column_of(ColumnKind::kFloor)));
  Json& goals = object["goals"] = Json::array();
  for (const Verdict& verdict : session.verdicts(workload)) {
    goals.push_back({{"goal", verdict.text},
                     {"reached", summary_of(verdict.reached)},
                     {"verdict", verdict.met()}});
  }
  return object;
}

}  // namespace

void print_json(const Session& session, const Facts& facts, std::ostream& out) {
  Json document;
  Json& machine = document["machine"] = Json::object();
  for (const auto& [name, value] : facts) machine[name] = value;
  document["repeats"] = session.settings().repeats;
  document["budget_ms"] = session.settings().budget.count();
  document["unfinished_round"] = session.unfinished_round();
  Json& workloads = document["workloads"] = Json::array();
  for (std::size_t workload = 0; workload < session.workloads().size(); ++workload) {
    workloads.push_back(workload_of(session, workload));
  }
  // What a program says of itself need not be UTF-8.
  out << document.dump(1, ' ', false, Json::error_handler_t::replace) << '\n';
}

}  // namespace shmvisor
