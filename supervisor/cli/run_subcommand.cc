#include "supervisor/cli/run_subcommand.h"

#include <algorithm>
#include <map>

#include "supervisor/cli/limit_options.h"

namespace shmvisor {

RunSubcommand::RunSubcommand(CLI::App& parent)
    : Subcommand(parent, "run",
                 "Run a command with segments of its own: run [OPTIONS] [--] COMMAND [ARG...]") {
  add_limit_options(app(), options_.limits);
  app().add_flag("--populate", options_.memory.populate_on_attach,
                 "Bring all pages of a segment in when it is attached");
  app().add_flag("--commit", options_.memory.commit_on_create,
                 "Allocate all pages of a segment when it is created, or refuse it");
  CLI::Option* const serve =
      app()
          .add_option("--serve", options_.serve_path,
                      "Let other runs join, at a socket of this name; permissions decide whose")
          ->check(check_path)
          ->type_name("PATH");
  CLI::Option* const join =
      app()
          .add_option("--join", options_.join_path,
                      "Share the segments of the run that serves there, and its limits")
          ->check(check_path)
          ->type_name("PATH")
          ->excludes(serve);
  for (const char* const server_s :
       {"--shmmax", "--shmall", "--shmmni", "--populate", "--commit"}) {
    join->excludes(app().get_option(server_s));
  }
  CLI::Option* const no_linger = app().add_flag(
      "--no-linger", no_linger_, "End with the command, even if descendants of it live on");
  // With --no-linger, processes could be left behind that the next one knows nothing of.
  app()
      .add_option_function<std::string>(
          "--join-or-serve",
          [this](const std::string& path) {
            options_.join_path = options_.serve_path = path;
            options_.join_or_serve = true;
          },
          "Join the run that serves there, or serve there where none does")
      ->check(check_path)
      ->type_name("PATH")
      ->excludes(serve)
      ->excludes(join)
      ->excludes(no_linger);
  CLI::Option* const die_with_parent =
      app().add_flag("--die-with-parent", options_.die_with_parent,
                     "Kill the command, and end, when the parent of shmvisor ends");
  app()
      .add_flag("--no-kill", no_kill_,
                "Leave the command alive when shmvisor is killed; its shm calls fail with ENOSYS "
                "then")
      ->excludes(die_with_parent);
  app().add_flag("--subreaper", options_.subreaper,
                 "Adopt orphaned descendants, reap them, and pass signals on to them when the "
                 "command has ended; always so as PID 1");
  app().add_flag("--group", options_.signal_group,
                 "Pass signals on to the command's whole process group, one of its own");
  app().add_flag("--own-group", options_.own_group,
                 "Give the command a process group of its own, the terminal's foreground group "
                 "where we are in it; always so as PID 1 with a terminal");
  app()
      .add_option("--tracer-wait", options_.tracer_wait_seconds,
                  "How long shmat and shmdt wait for a tracer of their caller (gdb, strace) to "
                  "leave, before they fail; 2 by default")
      ->check(CLI::Range(0.0, 3600.0))
      ->type_name("SECONDS");
  static const std::map<std::string, ProcMode> kModes = {
      {"fuse", ProcMode::kFuse}, {"hide", ProcMode::kHide}, {"off", ProcMode::kOff}};
  app()
      .add_option_function<std::string>(
          "--proc", [this](const std::string& mode) { options_.proc = kModes.at(mode); },
          "What /proc/sysvipc/shm and kernel.shm* show the command: fuse: its own segments and "
          "limits; hide: no /proc/sysvipc; off: the kernel's. Default: fuse where possible")
      ->check(CLI::IsMember({"fuse", "hide", "off"}))
      ->type_name("MODE");
  app().add_flag(
      "--userns", options_.user_namespace,
      "Run it in a user namespace with this user's ids, where --proc needs no privilege");
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
  if (no_kill_) options_.at_our_death = AtOurDeath::kLeaveCommand;
  return run_command(options_, features);
}

}  // namespace shmvisor
