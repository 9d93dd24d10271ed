// The command line of shmvisor-bench: what shmvisor costs, against the machine's own System V
// shared memory and against the floor that the kernel's mechanism sets.
#include <sched.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <regex>

#include "integration/bench/floor_supervisor.h"
#include "integration/bench/interruption.h"
#include "integration/bench/json.h"
#include "integration/bench/launched.h"
#include "integration/bench/machine.h"
#include "integration/bench/observed.h"
#include "integration/bench/plot.h"
#include "integration/bench/scratch_folder.h"
#include "integration/bench/session.h"
#include "integration/bench/table.h"
#include "integration/bench/worker/worker.h"
#include "supervisor/kernel/features.h"

namespace {

using namespace shmvisor;

struct Arguments {
  RunSettings run;
  std::string only;
  std::string json_path;
  std::string plot_path;
  int repeats = 0;
  int budget_ms = 0;
  int bound_seconds = 0;
  int cpus = 0;
  bool list = false;
};

void add_options(CLI::App& app, Arguments& arguments) {
  app.add_option("--only", arguments.only, "Only the workloads whose name has this in it")
      ->type_name("REGEX");
  app.add_option("--repeats", arguments.repeats, "Rounds (5; with --quick 2)")
      ->check(CLI::Range(1, 1000));
  app.add_option("--milliseconds", arguments.budget_ms,
                 "Time for one measurement (70; with --quick 20)")
      ->check(CLI::Range(1, 60000));
  app.add_option("--seconds", arguments.bound_seconds,
                 "Begin nothing after that time (60 for each column)")
      ->check(CLI::Range(1, 86400));
  app.add_flag("--quick", arguments.run.quick, "Short, and without what takes long to set up");
  app.add_option("--cpus", arguments.cpus, "Keep everything on the first so many CPUs (all)")
      ->check(CLI::Range(1, CPU_SETSIZE));
  app.add_option("--rival", arguments.run.rivals,
                 "A further column: the same commands behind this prefix, for example "
                 "'proot --sysvipc'; NAME= before it gives the column a name")
      ->type_name("PREFIX");
  app.add_option("--without", arguments.run.without,
                 "A further column: shmvisor without a kernel feature of 'shmvisor check'; "
                 "'each' is one for each of them")
      ->type_name("FEATURE")
      ->check([](const std::string& name) {
        const bool known = name == "each" || KernelFeatures::by_name(name);
        return known ? std::string() : "no feature is called '" + name + "'";
      });
  std::vector<std::string> ways = observers();
  ways.emplace_back("each");
  app.add_option("--observer", arguments.run.observers,
                 "A further column: shmvisor while somebody looks: 'socket' (a control socket that "
                 "nobody uses), 'trace' (--trace to a file), 'events' (a client follows events), "
                 "or 'each'")
      ->type_name("WAY")
      ->check(CLI::IsMember(ways));
  app.add_option("--json", arguments.json_path, "Write all samples there; - for standard output")
      ->type_name("FILE");
  app.add_option("--plot", arguments.plot_path, "Draw an SVG there, by gnuplot")->type_name("FILE");
  app.add_option("--shmvisor", arguments.run.shmvisor, "The program (the one beside this)")
      ->type_name("PATH");
  app.add_flag("--list", arguments.list, "List the workloads and end");
}

/// The first `count` of those that we may use, for us and all that we start.
bool keep_to_cpus(int count) {
  cpu_set_t allowed;
  cpu_set_t chosen;
  CPU_ZERO(&chosen);
  if (::sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return false;
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&chosen) < count; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) CPU_SET(cpu, &chosen);
  }
  return CPU_COUNT(&chosen) == count && ::sched_setaffinity(0, sizeof(chosen), &chosen) == 0;
}

std::string own_path() {
  std::string path(4096, '\0');
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
  path.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
  return path;
}

std::vector<Workload> chosen_workloads(const Arguments& arguments) {
  const std::regex wanted(arguments.only);
  std::vector<Workload> chosen;
  for (Workload& workload : all_workloads(raise_descriptor_limit())) {
    const bool left_out = arguments.run.quick && workload.heavy;
    if (!left_out && std::regex_search(workload.name, wanted)) chosen.push_back(workload);
  }
  return chosen;
}

void complete(Arguments& arguments) {
  RunSettings& run = arguments.run;
  run.self = own_path();
  if (run.shmvisor.empty()) run.shmvisor = run.self.substr(0, run.self.rfind('/')) + "/shmvisor";
  if (run.quick) {
    run.repeats = 2;
    run.budget = std::chrono::milliseconds(20);
  }
  if (arguments.repeats != 0) run.repeats = arguments.repeats;
  const bool each = std::erase(run.without, "each") != 0;
  for (std::size_t i = 0; each && i < static_cast<std::size_t>(KernelFeature::kCount); ++i) {
    run.without.emplace_back(KernelFeatures::name(static_cast<KernelFeature>(i)));
  }
  if (std::erase(run.observers, "each") != 0) run.observers = observers();
  constexpr std::chrono::seconds kForOneColumn{60};
  run.bound = arguments.bound_seconds != 0
                  ? std::chrono::seconds(arguments.bound_seconds)
                  : kForOneColumn * static_cast<int>(make_columns(run).size());
  if (arguments.budget_ms != 0) run.budget = std::chrono::milliseconds(arguments.budget_ms);
}

/// On standard error, so that it is seen wherever the table goes.
void announce(const Session& session) {
  const RunSettings& run = session.settings();
  std::cerr << session.workloads().size() << " workloads in " << session.columns().size()
            << " columns, " << run.repeats << " rounds of " << run.budget.count()
            << " ms each: at most " << run.bound.count() << " seconds\n";
}

int report(const Session& session, const Facts& facts, const Arguments& arguments) {
  bool written = true;
  if (arguments.json_path == "-") {
    print_json(session, facts, std::cout);
  } else {
    print_table(session, facts, std::cout);
    if (!arguments.json_path.empty()) {
      std::ofstream file(arguments.json_path);
      print_json(session, facts, file);
      written = file.flush().good();
      if (!written) std::cerr << "cannot write " << arguments.json_path << '\n';
    }
  }
  if (!arguments.plot_path.empty()) {
    const std::string problem = write_plot(session, arguments.plot_path);
    if (!problem.empty()) std::cerr << problem << '\n';
  }
  return written ? 0 : 1;
}

int run_benchmark(Arguments& arguments) {
  complete(arguments);
  if (arguments.cpus != 0 && !keep_to_cpus(arguments.cpus)) {
    std::cerr << "there are not " << arguments.cpus << " CPUs to be had\n";
    return 2;
  }
  std::vector<Workload> workloads = chosen_workloads(arguments);
  if (arguments.list) {
    for (const Workload& workload : workloads) std::cout << workload.name << '\n';
    return 0;
  }
  const ScratchFolder scratch;
  if (scratch.path().empty()) {
    std::cerr << "cannot make a folder for temporary files\n";
    return 2;
  }
  arguments.run.scratch = scratch.path();
  adopt_orphans();
  catch_interruptions();
  Facts facts = machine_facts(arguments.run.shmvisor);
  facts.emplace_back("load average before", load_average());
  Session session(std::move(workloads), arguments.run);
  announce(session);
  const auto start = std::chrono::steady_clock::now();
  const bool terminal = ::isatty(STDERR_FILENO) == 1;
  session.run([terminal](const std::string& what) {
    if (terminal) std::cerr << "\r\033[K" << what << std::flush;
  });
  if (terminal) std::cerr << "\r\033[K" << std::flush;
  if (interruption() != 0) {
    std::cerr << "interrupted\n";
    return 128 + interruption();
  }
  facts.emplace_back("load average after", load_average());
  const auto taken =
      std::chrono::round<std::chrono::seconds>(std::chrono::steady_clock::now() - start);
  facts.emplace_back("duration", std::to_string(taken.count()) + " s");
  return report(session, facts, arguments);
}

}  // namespace

int main(int argc, char** argv) try {
  // The ways in which this program starts itself.
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "--worker") return run_worker(std::vector<std::string>(argv + 2, argv + argc));
  if (mode == "--allow-filter" && argc > 2) return run_with_allow_filter(argv + 2);
  if (mode == "--followed" && argc > 3) return run_followed(argv + 2);
  if (mode == "--when-followed" && argc > 3) return run_when_followed(argv + 2);
  if (mode == "--floor-supervisor" && argc > 3) {
    return run_floor_supervisor(std::atoi(argv[2]), argv + 3);
  }

  Arguments arguments;
  CLI::App app("What shmvisor costs: native, floor and shmvisor side by side.", "shmvisor-bench");
  add_options(app, arguments);
  try {
    app.parse(argc, argv);
    return run_benchmark(arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  } catch (const std::regex_error& error) {
    std::cerr << "--only: " << error.what() << '\n';
    return 2;
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "shmvisor-bench: %s\n", error.what());
  return 1;
}
