#include "integration/bench/plot.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <sstream>
#include <string_view>

#include "integration/bench/worker_run.h"

namespace shmvisor {
namespace {

/// What fits a README; whatever of it was not measured is left out.
constexpr std::array<std::string_view, 11> kShown = {
    "getppid",        "fork-exec-wait", "shmget",           "stat-unattached",
    "create-remove",  "shmat",          "attach-detach-4K", "first-touch",
    "copy-bandwidth", "pgbench-select", "parallel-scan"};

/// Inside double quotes of gnuplot's.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

/// How many times as long as natively, of each column but the native one.
std::string data_line(const Session& session, std::size_t workload) {
  const std::size_t native = session.column_of(ColumnKind::kNative);
  const bool rate = higher_is_better(session.workloads()[workload].unit);
  std::ostringstream line;
  line << '"' << session.workloads()[workload].name << '"';
  for (std::size_t column = 0; column < session.columns().size(); ++column) {
    if (column == native) continue;
    const auto ratio =
        rate ? session.ratio(workload, native, column) : session.ratio(workload, column, native);
    line << ' ' << (ratio ? std::to_string(ratio->median) : "NaN");
  }
  return line.str() + "\n";
}

std::string script_for(const Session& session, const std::string& path) {
  std::ostringstream script;
  script << "set terminal svg size 900,420 background rgb 'white'\n"
            "set output \""
         << escaped(path)
         << "\"\n"
            "set style data histogram\nset style histogram clustered gap 1\n"
            "set style fill solid 0.8\nset boxwidth 0.9\nset logscale y\nset grid ytics\n"
            "set ylabel \"time, as a multiple of native\"\nset key top left\n"
            "set xtics rotate by -30 noenhanced\nset datafile missing \"NaN\"\n$data << END\n";
  for (std::size_t workload = 0; workload < session.workloads().size(); ++workload) {
    const std::string& name = session.workloads()[workload].name;
    const bool shown = std::find(kShown.begin(), kShown.end(), name) != kShown.end();
    if (shown) script << data_line(session, workload);
  }
  script << "END\nplot ";
  int field = 2;
  for (const Column& column : session.columns()) {
    if (column.kind == ColumnKind::kNative) continue;
    script << (field == 2 ? "" : ", ") << "$data using " << field << ":xtic(1) title \""
           << escaped(column.name) << "\" noenhanced";
    ++field;
  }
  script << "\n";
  return script.str();
}

}  // namespace

std::string write_plot(const Session& session, const std::string& path) {
  if (!on_path("gnuplot")) return "no plot: gnuplot is missing (Debian package gnuplot-nox)";
  std::FILE* const gnuplot = ::popen("gnuplot", "w");
  if (gnuplot == nullptr) return "no plot: gnuplot cannot be started";
  const std::string script = script_for(session, path);
  const bool written = std::fwrite(script.data(), 1, script.size(), gnuplot) == script.size();
  const bool ended_well = ::pclose(gnuplot) == 0;
  return written && ended_well ? std::string() : "no plot: gnuplot failed";
}

}  // namespace shmvisor
