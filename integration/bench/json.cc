#include "integration/bench/json.h"

#include <sched.h>
#include <sys/utsname.h>

#include <array>
#include <cmath>
#include <cstdio>

namespace shmvisor {
namespace {

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      std::array<char, 8> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\u%04x", static_cast<unsigned>(c));
      result += escaped.data();
    } else {
      result += c;
    }
  }
  return result + '"';
}

std::string number(const std::optional<double>& value) {
  if (!value || !std::isfinite(*value)) return "null";
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.9g", *value);
  return text.data();
}

std::string summary_object(const std::optional<Summary>& summary) {
  if (!summary) return "null";
  return "{\"median\": " + number(summary->median) +
         ", \"lower_quartile\": " + number(summary->lower_quartile) +
         ", \"upper_quartile\": " + number(summary->upper_quartile) + "}";
}

std::string cell_object(const Cell& cell) {
  std::string samples;
  for (const auto& sample : cell.samples) {
    samples += (samples.empty() ? "" : ", ") + number(sample);
  }
  std::string object = "{\"summary\": " + summary_object(cell.summary());
  object += ", \"samples\": [" + samples + "]";
  if (!cell.reason.empty()) object += ", \"not_measured\": " + quoted(cell.reason);
  return object + "}";
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

void print_workload(const Session& session, std::size_t workload, std::ostream& out) {
  const Workload& what = session.workloads()[workload];
  const auto& columns = session.columns();
  out << "    {\"name\": " << quoted(what.name) << ", \"unit\": " << quoted(unit_name(what.unit))
      << ",\n     \"columns\": {";
  for (std::size_t column = 0; column < columns.size(); ++column) {
    out << (column == 0 ? "" : ",") << "\n       " << quoted(columns[column].name) << ": "
        << cell_object(session.cell(workload, column));
  }
  const auto ratio_to = [&](ColumnKind kind) {
    return summary_object(
        session.ratio(workload, session.column_of(ColumnKind::kShmvisor), session.column_of(kind)));
  };
  out << "},\n     \"shmvisor_to_native\": " << ratio_to(ColumnKind::kNative)
      << ",\n     \"shmvisor_to_floor\": " << ratio_to(ColumnKind::kFloor)
      << ",\n     \"goals\": [";
  const char* separator = "";
  for (const Verdict& verdict : session.verdicts(workload)) {
    out << separator << "{\"goal\": " << quoted(verdict.text)
        << ", \"reached\": " << summary_object(verdict.reached)
        << ", \"verdict\": " << quoted(verdict.met()) << "}";
    separator = ", ";
  }
  out << "]}";
}

}  // namespace

void print_json(const Session& session, std::ostream& out) {
  utsname machine{};
  ::uname(&machine);
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  ::sched_getaffinity(0, sizeof(cpus), &cpus);
  out << "{\n  \"kernel\": " << quoted(machine.release) << ",\n  \"cpus\": " << CPU_COUNT(&cpus)
      << ",\n  \"repeats\": " << session.settings().repeats
      << ",\n  \"budget_ms\": " << session.settings().budget.count() << ",\n  \"workloads\": [";
  for (std::size_t workload = 0; workload < session.workloads().size(); ++workload) {
    out << (workload == 0 ? "\n" : ",\n");
    print_workload(session, workload, out);
  }
  out << "\n  ]\n}\n";
}

}  // namespace shmvisor
