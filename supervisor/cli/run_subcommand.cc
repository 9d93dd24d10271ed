#include "supervisor/cli/run_subcommand.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <string_view>
#include <utility>

#include "supervisor/cli/audit_options.h"
#include "supervisor/cli/cleanup_option.h"
#include "supervisor/cli/control_options.h"
#include "supervisor/cli/keeper_options.h"
#include "supervisor/cli/limit_options.h"
#include "supervisor/cli/real_number.h"
#include "supervisor/control/control_place.h"
#include "supervisor/log/process_log.h"
#include "supervisor/saved/whole_file.h"

namespace shmvisor {
namespace {

constexpr const char* kProcessesGroup = "Processes and signals";
constexpr const char* kSharingGroup = "Sharing with other runs";
/// Options for the run that serves, which one that joins it makes no use of.
constexpr std::array kServers = {"--shmmax",  "--shmall",  "--shmmni",     "--populate", "--commit",
                                 "--cleanup", "--control", "--name",       "--trace",    "--report",
                                 "--audit",   "--restore", "--save-at-end"};

/// Why it cannot be written to; empty where nothing is known to be in the way.
std::string obstacle(const std::string& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
    return "'" + file + "' is a directory";
  }
  const auto refuses = [](const std::string& path, int rights) {
    return ::faccessat(AT_FDCWD, path.c_str(), rights, AT_EACCESS) != 0;
  };
  if (!refuses(file, W_OK)) return {};
  int error = errno;
  // Where the file is to be made, its folder says whether that may be.
  if (error == ENOENT) {
    const std::size_t slash = file.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : file.substr(0, slash + 1);
    if (!refuses(folder, W_OK | X_OK)) return {};
    error = errno;
  }
  return "cannot write '" + file + "': " + std::strerror(error);
}

/// A file, or empty for standard error; nothing where the option was not given. What cannot be
/// written is refused before the command starts.
std::optional<std::string> output_of(const CLI::Option& option, const std::string& file) {
  if (option.count() == 0) return std::nullopt;
  // As of a flag, in a configuration or in the environment.
  const auto is_wanted = flag_word(file);
  if (is_wanted && !*is_wanted) return std::nullopt;
  if (file.empty() || file == "-" || is_wanted) return std::string();
  if (const std::string trouble = obstacle(file); !trouble.empty()) {
    throw CLI::ValidationError(option.get_name(), trouble);
  }
  return file;
}

/// What is wrong with a place to save to, before the command has run; empty where nothing is.
std::string check_saving(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    return "'" + path + "' is no regular file";
  }
  // As it is made at the end; this one goes at once.
  const auto begun = saved::WholeFile::begin(path);
  if (begun) return "";
  return "no file can be made for '" + path + "': " + std::strerror(begun.error().value());
}

}  // namespace

RunSubcommand::RunSubcommand(CLI::App& parent)
    : Subcommand(parent, "run", "Run a command with shared memory segments of its own",
                 {.operands = " [--] COMMAND [ARG...]",
                  .examples = "shmvisor run --name db --shmmax 1G -- postgres -D \"$PGDATA\"\n"
                              "shmvisor run --trace -- ipcmk -M 4096\n"
                              "shmvisor run --join-or-serve /run/x.shm -- x11perf -shmput500"}),
      config_(app(), name()) {
  app().group("Start");
  add_limit_options(app(), options_.limits);
  add_memory_options();
  add_control_options(app(), options_.control);
  add_audit_options(app(), options_.audit);
  add_outputs();
  add_saved_files();
  CLI::Option* const no_linger =
      app()
          .add_flag("--no-linger", no_linger_, "End with the command, not with its last descendant")
          ->group(kProcessesGroup);
  add_sharing(no_linger);
  add_process_options();
  add_surroundings();
  add_keeper_options(app(), options_.keeper, options_.keeper_deaths, kProcessesGroup);
}

void RunSubcommand::add_memory_options() {
  app()
      .add_flag("--commit", options_.memory.commit_on_create,
                "Allocate a segment when it is created, or refuse it")
      ->group(kLimitsGroup);
  app()
      .add_flag("--populate", options_.memory.populate_on_attach,
                "Bring a segment's pages in when it is attached")
      ->group(kLimitsGroup);
  add_cleanup_option(app(), options_.cleanup);
}

/// The command begins behind such an option where no file follows it: take_words().
void RunSubcommand::add_outputs() {
  const auto add = [this](const char* name, std::string& file, const char* description) {
    app()
        .add_option(name, file, description)
        ->expected(0, 1)
        ->type_name("FILE")
        ->group(kControlGroup);
  };
  add("--report", report_, "Print at the end what was called and what is left");
  add("--trace", trace_, "Print each call, as strace does");
}

void RunSubcommand::add_saved_files() {
  app()
      .add_option("--restore", options_.restore_path, "Begin with what 'shmvisor save' wrote")
      ->check(check_path)
      ->type_name("FILE")
      ->group(kSharingGroup);
  app()
      .add_option("--save-at-end", options_.save_path,
                  "Write segments, contents and limits to FILE at the end")
      ->check(check_path)
      ->check(check_saving)
      ->type_name("FILE")
      ->group(kSharingGroup);
}

void RunSubcommand::add_sharing(CLI::Option* no_linger) {
  CLI::Option* const serve = app()
                                 .add_option("--serve", options_.serve_path,
                                             "Let other runs join, at this socket or name:NAME")
                                 ->check(check_path)
                                 ->type_name("PATH")
                                 ->group(kSharingGroup);
  CLI::Option* const join =
      app()
          .add_option("--join", options_.join_path,
                      "Share the segments of the run at this path or name:NAME")
          ->check(check_path)
          ->type_name("PATH")
          ->group(kSharingGroup)
          ->excludes(serve);
  for (const char* const servers : kServers) join->excludes(app().get_option(servers));
  // With --no-linger, processes could be left behind that the next one knows nothing of.
  app()
      .add_option_function<std::string>(
          "--join-or-serve",
          [this](const std::string& path) {
            options_.join_path = options_.serve_path = path;
            options_.join_or_serve = true;
          },
          "Join the run there, or serve where there is none")
      ->check(check_path)
      ->type_name("PATH")
      ->group(kSharingGroup)
      ->excludes(serve)
      ->excludes(join)
      ->excludes(no_linger);
}

void RunSubcommand::add_process_options() {
  const auto add = [this](const char* name, bool& flag, const char* description) {
    return app().add_flag(name, flag, description)->group(kProcessesGroup);
  };
  CLI::Option* const die_with_parent = add("--die-with-parent", options_.die_with_parent,
                                           "End, with the command, when the parent ends");
  add("--no-kill", no_kill_, "Leave the command alive when shmvisor is killed")
      ->excludes(die_with_parent);
  add("--subreaper", options_.subreaper, "Adopt orphaned descendants; always so as PID 1");
  add("--group", options_.signal_group, "Pass signals on to the command's own process group");
  add("--own-group", options_.own_group, "Give the command a process group of its own");
}

void RunSubcommand::add_surroundings() {
  constexpr const char* kGroup = "What the command finds";
  app()
      .add_option("--tracer-wait", options_.tracer_wait_seconds,
                  "Wait so long for gdb or strace to let go; 2 by default")
      ->check(real_number(0, 3600))
      ->default_str("2")
      ->type_name("SECONDS")
      ->group(kGroup);
  static const std::map<std::string, ProcMode> kModes = {
      {"fuse", ProcMode::kFuse}, {"hide", ProcMode::kHide}, {"off", ProcMode::kOff}};
  app()
      .add_option_function<std::string>(
          "--proc", [this](const std::string& mode) { options_.proc = kModes.at(mode); },
          "Segments and limits in /proc: fuse: its own; hide: none; off: the kernel's. Default: "
          "fuse where possible")
      ->check(CLI::IsMember({"fuse", "hide", "off"}))
      ->type_name("MODE")
      ->group(kGroup);
  app()
      .add_flag("--userns", options_.user_namespace,
                "A user namespace with this user's ids, for --proc=fuse")
      ->group(kGroup);
  app()
      .add_flag("--private-ipc", options_.private_ipc,
                "Private semaphores and message queues, where possible")
      ->excludes(app().get_option("--join"))
      ->group(kGroup);
}

std::size_t RunSubcommand::command_position(const std::vector<std::string>& words) const {
  std::size_t at = 0;
  while (at < words.size() && words[at].size() > 1 && words[at].front() == '-') {
    if (words[at] == "--") return at + 1;
    const CLI::Option* const option = app().get_option_no_throw(words[at]);
    const bool takes_next = option != nullptr && option->get_items_expected_min() > 0;
    at += takes_next ? 2 : 1;
  }
  return std::min(at, words.size());
}

void RunSubcommand::take_words(std::vector<std::string>& words) {
  const auto command = words.begin() + static_cast<std::ptrdiff_t>(command_position(words));
  options_.command.assign(command, words.end());
  words.erase(command, words.end());
  if (!words.empty() && words.back() == "--") words.pop_back();
}

int RunSubcommand::run(KernelFeatures& features) {
  if (options_.command.empty()) throw CLI::RequiredError("COMMAND");
  options_.linger = !no_linger_;
  options_.report = output_of(*app().get_option("--report"), report_);
  options_.trace = output_of(*app().get_option("--trace"), trace_);
  const auto given = [this](const char* name) { return app().get_option(name)->count() != 0; };
  if (given("--shmmax")) options_.limits_set.shmmax = options_.limits.shmmax;
  if (given("--shmall")) options_.limits_set.shmall = options_.limits.shmall;
  if (given("--shmmni")) options_.limits_set.shmmni = options_.limits.shmmni;
  options_.cleanup_set = given("--cleanup");
  for (const char* const servers : kServers) {
    // What comes from elsewhere is for each run that it may be of use to; but a file that is not
    // read or not written is always missed.
    const bool has_file =
        servers == std::string_view("--restore") || servers == std::string_view("--save-at-end");
    if (was_given(servers) || (has_file && given(servers)))
      options_.for_server.emplace_back(servers);
  }
  if (no_kill_) options_.at_our_death = AtOurDeath::kLeaveCommand;
  const bool both = options_.join_or_serve;
  options_.join_given = options_.join_path;
  for (const auto& [option, path] :
       {std::pair("--serve", &options_.serve_path), std::pair("--join", &options_.join_path)}) {
    auto place = control::join_place(*path);
    if (!place) throw CLI::ValidationError(both ? "--join-or-serve" : option, place.error().text);
    *path = std::move(*place);
  }
  // A keeper is cloned, and has no thread.
  if (options_.keeper) let_process_log_have_thread(false);
  config_.warn();
  options_.steering = config_.steering();
  options_.read_again = config_.reader();
  return run_command(options_, features);
}

}  // namespace shmvisor
