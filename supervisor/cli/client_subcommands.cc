#include "supervisor/cli/client_subcommands.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string_view>

#include "policy/limits/limits.h"
#include "supervisor/cli/limit_options.h"
#include "supervisor/cli/real_number.h"
#include "supervisor/cli/serve_metrics_subcommand.h"
#include "supervisor/client/saved_files.h"
#include "supervisor/config/accounts.h"
#include "supervisor/config/config_problem.h"
#include "supervisor/config/number_text.h"
#include "supervisor/http/listening_place.h"
#include "supervisor/kernel/poll_files.h"

namespace shmvisor {
namespace {

// Titles in helps.
constexpr const char* kWhichRun = "Which run or agent, where several have a control socket";
constexpr const char* kChange = "Change what is inside";

/// As a SideClient: this ends with the run, and not before. Where the run is killed there is a
/// second for what it told, since a file may take it, and a FIFO that nobody reads does not.
void live_as_long_as_the_run(int connection) {
  // What the terminal asks for is the run's to do.
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) ::signal(signal, SIG_IGN);
  ::signal(SIGALRM, SIG_DFL);
  struct sigaction last_second {};
  last_second.sa_handler = [](int) { (void)::alarm(1); };
  last_second.sa_flags = SA_RESTART;
  ::sigaction(SIGUSR1, &last_second, nullptr);
  (void)::prctl(PR_SET_PDEATHSIG, SIGUSR1);
  // It may have ended before.
  const auto now = events_now(connection, 0);
  if (now && (*now & POLLHUP) != 0) (void)::raise(SIGUSR1);
}

}  // namespace

int say_failed(const std::string& problem) {
  (void)std::fprintf(stderr, "shmvisor: %s\n", config::on_one_line(problem).c_str());
  return kClientFailed;
}

ClientSubcommand::ClientSubcommand(CLI::App& parent, const std::string& name,
                                   const std::string& description, const char* group,
                                   const HelpText& help, Show show)
    : Subcommand(parent, name, description, help), show_(show) {
  app().group(group);
  hide_log_options();
  app()
      .add_option("--control", choice_.path, "The run with this control socket")
      ->check(check_path)
      ->type_name("PATH")
      ->group(kWhichRun);
  app()
      .add_option("--name", choice_.name, "The run that was given this name")
      ->type_name("NAME")
      ->group(kWhichRun);
  app()
      .add_option("--pid", choice_.pid, "The run whose shmvisor has this pid")
      ->check(CLI::Range(1, std::numeric_limits<int>::max()))
      ->type_name("PID")
      ->group(kWhichRun);
  app().add_flag("--json", options_.json, "Print JSON");
}

int ClientSubcommand::run(KernelFeatures& /*features*/) {
  // What RLIMIT_FSIZE does not let it write is told, as a full disk is.
  ::signal(SIGXFSZ, SIG_IGN);
  if (connected_ >= 0) {
    live_as_long_as_the_run(connected_);
    options_.follows_already = true;
  }
  auto found = connected_ >= 0 ? client::RunConnection::over(UniqueFd(connected_))
                               : client::find_run(choice_);
  if (!found) return say_failed(found.error().text);
  try {
    const auto shown = show_(*found, options_);
    if (!shown) return say_failed(shown.error().text);
  } catch (const client::Json::exception&) {
    return say_failed(found->hello().called() +
                      ": its answer cannot be understood: a member is missing, or of another type");
  }
  const std::string output = "cannot write to " + client::output_name(options_);
  if (std::fflush(stdout) != 0) return say_failed(output + ": " + std::strerror(errno));
  return std::ferror(stdout) == 0 ? 0 : say_failed(output);
}

std::vector<std::unique_ptr<Subcommand>> make_client_subcommands(CLI::App& parent) {
  std::vector<std::unique_ptr<Subcommand>> all;
  const auto make = [&](const char* name, const char* description, const char* group,
                        const char* examples, ClientSubcommand::Show show, const char* notes = "") {
    auto made = std::make_unique<ClientSubcommand>(
        parent, name, description, group, HelpText{.examples = examples, .notes = notes}, show);
    ClientSubcommand& reference = *made;
    all.push_back(std::move(made));
    return &reference;
  };
  auto* const ls = make("ls", "List segments, as ipcs -m does", kLookGroup,
                        "shmvisor ls\nshmvisor ls --name db --json", client::list_segments);
  ls->add_registry_option();
  ls->add_quiet_flag("Print identifiers alone");
  auto* const stat = make("stat", "Show one segment, as ipcs -m -i does", kLookGroup,
                          "shmvisor stat 3", client::show_segment);
  stat->add_registry_option();
  stat->add_number("ID", "The segment's identifier", true);
  auto* const limits = make("limits", "Show limits and what is used, as ipcs -m -l -u does",
                            kLookGroup, "shmvisor limits --registry main", client::show_limits);
  limits->add_registry_option();
  auto* const ps = make("ps", "List supervised processes and what they map", kLookGroup,
                        "shmvisor ps\nshmvisor ps --quiet", client::list_processes);
  ps->add_quiet_flag("Print pids alone");
  ps->add_all_flag("Also processes that hold nothing and have left the run");
  auto* const maps = make("maps", "List which process maps which segment where", kLookGroup,
                          "shmvisor maps\nshmvisor maps 3", client::list_maps);
  maps->add_registry_option();
  maps->add_number("NUMBER", "Only the segment with this identifier, or the process with this pid",
                   false);
  auto* const graph =
      make("graph", "Draw which process maps which segment", kLookGroup,
           "shmvisor graph | dot -Tpdf >segments.pdf\nshmvisor graph --svg --output segments.svg",
           client::draw_graph);
  graph->add_registry_option();
  graph->add_all_flag("Also supervised processes that map nothing");
  graph->add_svg_flag();
  graph->add_output_option();
  auto* const trace = make("trace", "Print each call as it is answered, as strace does", kLookGroup,
                           "shmvisor trace --name db\nshmvisor trace --json --output calls.json",
                           client::trace_calls);
  trace->add_registry_option();
  trace->add_output_option();
  auto* const events = make("events", "Print create, attach, detach, remove, refusal and act",
                            kLookGroup, "shmvisor events | grep refusal", client::follow_events);
  events->add_registry_option();
  events->add_output_option();
  auto* const report = make("report", "Show what was called and refused, and what is left",
                            kLookGroup, "shmvisor report --name db", client::show_report);
  report->add_output_option();
  auto* const top = make("top", "Watch segments and calls, on a full screen", kLookGroup,
                         "shmvisor top\nshmvisor top --name db --delay 0.5", client::watch_run);
  top->add_delay_option();
  top->remove_json_flag();
  auto* const web =
      make("web", "Show a run on a page for browsers", kLookGroup,
           "shmvisor web --name db\nshmvisor web --listen [::1]:9000", client::serve_web);
  web->add_listen_option("127.0.0.1:8477");
  web->remove_json_flag();
  all.push_back(std::make_unique<ServeMetricsSubcommand>(parent));
  auto* const rm = make("rm", "Remove segments, as ipcrm does", kChange,
                        "shmvisor rm 3 7\nshmvisor rm --key 0x4d2\nshmvisor rm --orphans",
                        client::remove_segments);
  rm->add_registry_option();
  rm->add_selection();
  auto* const set = make("set", "Change limits while the run goes on", kChange,
                         "shmvisor set --shmmax 1G --shmmni 100", client::set_limits,
                         "No limit is taken from the environment: SHMVISOR_SHMMAX is what a run "
                         "begins with.");
  set->add_registry_option();
  set->add_new_limits();
  auto* const dump =
      make("dump", "Write the memory of a segment", kLookGroup,
           "shmvisor dump 3 >segment\nshmvisor dump 3 --output segment", client::dump_segment);
  dump->add_registry_option();
  dump->add_number("ID", "The segment's identifier", true);
  dump->add_output_option();
  dump->remove_json_flag();
  auto* const save =
      make("save", "Write a registry with its segments' contents to a file", kLookGroup,
           "shmvisor save --name db segments.saved\n"
           "shmvisor run --restore segments.saved -- postgres -D \"$PGDATA\"",
           client::save_registry);
  save->add_registry_option();
  save->add_file();
  auto* const load = make("load", "Make a segment of what standard input has", kChange,
                          "shmvisor load --key 0x4d2 <segment\n"
                          "zcat segment.gz | shmvisor load --mode 640 --uid 1000",
                          client::load_segment);
  load->add_registry_option();
  load->add_load_options();
  auto* const detach = make("detach", "Take a segment out of processes that map it", kChange,
                            "shmvisor detach 3\nshmvisor detach 3 --process 4711 --signal SIGBUS",
                            client::detach_segment);
  detach->add_registry_option();
  detach->add_number("ID", "The segment's identifier", true);
  detach->add_detach_options();
  make("reload", "Read the configuration file of a run or agent again", kChange,
       "shmvisor reload --name agent", client::reload_configuration);
  make("upgrade", "Let another build take over a run or agent with --keeper", kChange,
       "shmvisor upgrade --name agent\nshmvisor upgrade --name db --to /opt/shmvisor/bin/shmvisor",
       client::upgrade_run)
      ->add_program_option();
  return all;
}

}  // namespace shmvisor
