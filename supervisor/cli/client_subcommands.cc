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

void ClientSubcommand::add_registry_option() {
  app()
      .add_option("--registry", options_.registry,
                  "Only main, a container's id, group:NAME or ipc:[INODE]")
      ->type_name("NAME")
      ->group(kWhichRun);
}

void ClientSubcommand::add_quiet_flag(const std::string& description) {
  app().add_flag("-q,--quiet", options_.quiet, description)->excludes(app().get_option("--json"));
}

void ClientSubcommand::add_all_flag(const std::string& description) {
  app().add_flag("-a,--all", options_.all, description);
}

void ClientSubcommand::add_svg_flag() {
  app()
      .add_flag("--svg", options_.svg, "A picture, and no text for Graphviz")
      ->excludes(app().get_option("--json"));
}

void ClientSubcommand::add_output_option() {
  app()
      .add_option("-o,--output", options_.output, "Write to this file")
      ->check(check_path)
      ->type_name("FILE");
  add_connected_option();
}

void ClientSubcommand::add_program_option() {
  app()
      .add_option("--to", options_.program,
                  "This program; by default the one that is now where the running one was")
      ->check(check_path)
      ->type_name("BINARY");
}

void ClientSubcommand::add_connected_option() {
  app().add_option("--connected", connected_)->group("");  // for SideClient
}

void ClientSubcommand::add_file() {
  app()
      .add_option("FILE", options_.output,
                  "The file; an older one stays until the new one is whole")
      ->check(check_path)
      ->required()
      ->type_name("FILE")
      ->group("Where");
  add_connected_option();
}

void ClientSubcommand::add_delay_option() {
  constexpr double kLeast = 0.1;
  constexpr double kMost = 3600;
  app()
      .add_option("-d,--delay", options_.delay_seconds, "Look so often; every second by default")
      ->check(real_number(kLeast, kMost))
      ->type_name("SECONDS");
}

void ClientSubcommand::add_listen_option(const std::string& by_default) {
  options_.place = by_default;
  app()
      .add_option("--listen", options_.place,
                  "Listen there: an address and a port, or the path of a Unix socket. Default: " +
                      by_default)
      ->check(ListeningPlace::check)
      ->type_name("PLACE");
}

CLI::Option* ClientSubcommand::add_key(CLI::App& to, const char* description) {
  return to
      .add_option_function<std::string>(
          "--key",
          [this](const std::string& text) {
            char* end = nullptr;
            const unsigned long long key = std::strtoull(text.c_str(), &end, 0);
            if (*end != '\0' || key == 0 || key > UINT32_MAX) {
              throw CLI::ValidationError("--key", "'" + text + "' is no key, as 0x4d2 or 1234");
            }
            options_.key = static_cast<std::uint32_t>(key);
          },
          description)
      ->type_name("KEY");
}

void ClientSubcommand::add_load_options() {
  constexpr const char* kGroup = "The new segment";
  add_key(app(), "Its key, 0x4d2 or 1234; IPC_PRIVATE by default")->group(kGroup);
  app()
      .add_option_function<std::string>(
          "--mode",
          [this](const std::string& text) {
            constexpr unsigned long kMost = 0777;
            char* end = nullptr;
            const unsigned long mode = std::strtoul(text.c_str(), &end, 8);
            const bool is_octal =
                !text.empty() && text.find_first_not_of("01234567") == std::string::npos;
            if (!is_octal || mode > kMost) {
              throw CLI::ValidationError("--mode", "'" + text + "' is no mode, as 640");
            }
            options_.mode = static_cast<unsigned>(mode);
          },
          "Its permissions, in octal digits; 600 by default")
      ->type_name("MODE")
      ->group(kGroup);
  using config::AccountKind;
  const auto add_id = [&](const char* name, std::optional<std::uint32_t>& id, AccountKind kind,
                          const char* description) {
    app()
        .add_option_function<std::string>(
            name,
            [name, &id, kind](const std::string& text) {
              const auto meant = config::Accounts().parse(kind, text);
              if (!meant) throw CLI::ValidationError(name, meant.error().reason);
              id = *meant;
            },
            description)
        ->type_name(kind == AccountKind::kUser ? "USER" : "GROUP")
        ->group(kGroup);
  };
  add_id("--uid", options_.uid, AccountKind::kUser,
         "Its owner and creator, by name or number; the run's user by default");
  add_id("--gid", options_.gid, AccountKind::kGroup, "Its group; the run's by default");
  app()
      .add_option_function<std::string>(
          "--size",
          [this](const std::string& text) {
            const auto size = parse_size(text);
            if (!size) throw CLI::ValidationError("--size", config::no_size(text));
            options_.size_bytes = *size;
          },
          "Its size, in bytes (K, M, G, T); that of the input by default")
      ->type_name("SIZE")
      ->group(kGroup);
}

void ClientSubcommand::add_detach_options() {
  app()
      .add_option("--process", options_.process, "Out of this process alone")
      ->check(CLI::Range(1, std::numeric_limits<int>::max()))
      ->type_name("PID");
  app()
      .add_option("--signal", options_.signal,
                  "What access raises from then on: SIGSEGV, the default, or SIGBUS")
      ->check(CLI::IsMember({"SIGSEGV", "SIGBUS"}))
      ->type_name("SIGNAL");
}

void ClientSubcommand::add_selection() {
  constexpr const char* kGroup = "Which segments (one of these)";
  CLI::Option_group* const one = app().add_option_group("segments");
  one->add_option("ID", options_.numbers, "Those with these identifiers")
      ->group(kGroup)
      ->check(CLI::Range(0, std::numeric_limits<int>::max()));
  add_key(*one, "The one with this key, 0x4d2 or 1234")->group(kGroup);
  one->add_flag("-a,--all", options_.all, "All")->group(kGroup);
  one->add_flag("--orphans", options_.orphans, "Those that nobody maps, and whose users have ended")
      ->group(kGroup);
  one->require_option(1);
}

void ClientSubcommand::add_new_limits() {
  // In a group, of which the environment is not asked: SHMVISOR_SHMMAX is what a run begins with.
  CLI::Option_group* const some = app().add_option_group("limits");
  const auto add = [some](const char* name, std::optional<std::uint64_t>& limit, auto parse,
                          const char* description, const char* type) {
    some->add_option_function<std::string>(
            name,
            [name, &limit, parse](const std::string& text) {
              const auto number = parse(text);
              if (!number) {
                throw CLI::ValidationError(name, name == std::string("--shmmni")
                                                     ? config::no_shmmni(text)
                                                     : config::no_size(text));
              }
              limit = *number;
            },
            description)
        ->type_name(type)
        ->group(kLimitsGroup);
  };
  add("--shmmax", options_.shmmax, parse_size, "Largest new segment, in bytes (K, M, G, T)",
      "SIZE");
  add("--shmall", options_.shmall, parse_size, "All segments together, in 4 KiB pages", "PAGES");
  add("--shmmni", options_.shmmni, parse_shmmni, "Most segments at a time, up to 32768", "NUMBER");
  some->require_option(1, 0);
}

void ClientSubcommand::add_number(const std::string& name, const std::string& description,
                                  bool required) {
  app()
      .add_option_function<int>(
          name, [this](int number) { options_.number = number; }, description)
      ->group("Which")
      ->required(required)
      ->check(CLI::Range(0, std::numeric_limits<int>::max()));
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
