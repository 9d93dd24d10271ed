#include "integration/bench/plot.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

#include "integration/bench/worker_run.h"

namespace shmvisor {
namespace {

/// What fits a README; whatever of it was not measured is left out.
constexpr std::array<std::string_view, 12> kShown = {
    "getppid",         "semop",          "fork-exec-wait", "shmget",
    "stat-unattached", "create-remove",  "shmat",          "attach-touch-detach",
    "first-touch",     "copy-bandwidth", "pgbench-select", "x11perf-shmput500"};

/// Readable on white and on black, as is the grey of the text.
constexpr std::array<std::string_view, 6> kColours = {"#8c959f", "#2f81f7", "#d29922",
                                                      "#a371f7", "#db6d28", "#3fb950"};

/// Inside double quotes of gnuplot's.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

/// How many times as long as natively.
std::optional<Summary> slowdown(const Session& session, std::size_t workload, std::size_t column) {
  const std::size_t native = session.column_of(ColumnKind::kNative);
  const bool rate = higher_is_better(session.workloads()[workload].unit);
  return rate ? session.ratio(workload, native, column) : session.ratio(workload, column, native);
}

std::vector<std::size_t> shown_workloads(const Session& session) {
  std::vector<std::size_t> shown;
  for (std::size_t workload = 0; workload < session.workloads().size(); ++workload) {
    const std::string& name = session.workloads()[workload].name;
    if (std::find(kShown.begin(), kShown.end(), name) != kShown.end()) shown.push_back(workload);
  }
  return shown;
}

/// All but the native one, where anything was measured.
std::vector<std::size_t> shown_columns(const Session& session,
                                       const std::vector<std::size_t>& workloads) {
  std::vector<std::size_t> shown;
  for (std::size_t column = 0; column < session.columns().size(); ++column) {
    const bool any = std::any_of(workloads.begin(), workloads.end(), [&](std::size_t workload) {
      return slowdown(session, workload, column).has_value();
    });
    if (any && session.columns()[column].kind != ColumnKind::kNative) shown.push_back(column);
  }
  return shown;
}

std::string script_for(const Session& session, const std::string& path) {
  const auto workloads = shown_workloads(session);
  const auto columns = shown_columns(session, workloads);
  if (columns.empty()) return {};
  std::ostringstream script;
  script << "set terminal svg size 860,380 font 'sans-serif,13'\n"
         << "set output \"" << escaped(path) << "\"\n"
         << "set style data histogram\nset style histogram clustered gap 1\n"
            "set style fill solid 1 noborder\nset boxwidth 0.9\n"
            "set logscale y\nset yrange [0.5:]\nset format y '%g'\n"
            "grey = '#808080'\nset border 3 linecolor rgb grey\n"
            "set grid ytics linecolor rgb grey linewidth 0.5\n"
            "set tics nomirror textcolor rgb grey\n"
            "set ylabel 'time, as a multiple of native' textcolor rgb grey\n"
            "set key top left horizontal textcolor rgb grey\n"
            "set xtics rotate by -30 noenhanced\nset datafile missing 'NaN'\n$data << END\n";
  for (const std::size_t workload : workloads) {
    script << '"' << session.workloads()[workload].name << '"';
    for (const std::size_t column : columns) {
      const auto ratio = slowdown(session, workload, column);
      script << ' ' << (ratio ? std::to_string(ratio->median) : "NaN");
    }
    script << '\n';
  }
  script << "END\nplot ";
  for (std::size_t i = 0; i < columns.size(); ++i) {
    script << (i == 0 ? "" : ", ") << "$data using " << i + 2 << ":xtic(1) title \""
           << escaped(session.columns()[columns[i]].name) << "\" noenhanced linecolor rgb '"
           << kColours.at(i % kColours.size()) << "'";
  }
  script << "\n";
  return script.str();
}

}  // namespace

std::string write_plot(const Session& session, const std::string& path) {
  if (!on_path("gnuplot")) return "no plot: gnuplot is missing (Debian package gnuplot-nox)";
  const std::string script = script_for(session, path);
  if (script.empty()) return "no plot: nothing of what it shows was measured";
  std::FILE* const gnuplot = ::popen("gnuplot", "w");
  if (gnuplot == nullptr) return "no plot: gnuplot cannot be started";
  const bool written = std::fwrite(script.data(), 1, script.size(), gnuplot) == script.size();
  const bool ended_well = ::pclose(gnuplot) == 0;
  return written && ended_well ? std::string() : "no plot: gnuplot failed";
}

}  // namespace shmvisor
