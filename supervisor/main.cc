// The command line of shmvisor: which subcommand, and the way out.
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "supervisor/cli/agent_subcommand.h"
#include "supervisor/cli/check_subcommand.h"
#include "supervisor/cli/client_subcommands.h"
#include "supervisor/cli/complaints.h"
#include "supervisor/cli/completion_subcommand.h"
#include "supervisor/cli/config_subcommand.h"
#include "supervisor/cli/environment.h"
#include "supervisor/cli/fsck_subcommand.h"
#include "supervisor/cli/help_formatter.h"
#include "supervisor/cli/oci_profile_subcommand.h"
#include "supervisor/cli/run_subcommand.h"
#include "supervisor/config/config_problem.h"
#include "supervisor/keeper/program_exec.h"
#include "supervisor/kernel/version.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/launch/roomy_stack.h"

namespace {

using namespace shmvisor;

constexpr HelpText kProgramHelp = {
    .examples =
        "shmvisor run -- postgres -D \"$PGDATA\"\n"
        "shmvisor run --name db --shmmax 1G -- postgres -D \"$PGDATA\"\n"
        "shmvisor ls\n"
        "shmvisor trace --name db\n"
        "shmvisor rm --orphans",
    .notes = "Each subcommand has a help of its own: shmvisor run --help. More is in shmvisor(1)."};

/// A log would be written to whatever of ours came to lie at the number of a stream that is closed.
/// The command finds it closed.
void occupy_standard_streams() {
  int fd = -1;
  do {
    fd = ::open("/", O_PATH | O_CLOEXEC);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
}

/// Not so where standard output is on a full disk.
bool all_printed() {
  errno = 0;
  if (std::cout.flush() && std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return true;
  // An error of an earlier write is not kept. The output is lost already: a further byte shows the
  // error again.
  if (errno == 0) (void)!::write(STDOUT_FILENO, "\n", 1);
  const std::string why = errno == 0 ? "" : std::string(": ") + std::strerror(errno);
  (void)std::fprintf(stderr, "shmvisor: cannot write to standard output%s\n", why.c_str());
  return false;
}

/// All of them; `run` alone where a command is to start, which waits for this.
std::vector<std::unique_ptr<Subcommand>> make_subcommands(CLI::App& app, bool starts) {
  std::vector<std::unique_ptr<Subcommand>> all;
  all.push_back(std::make_unique<RunSubcommand>(app));
  if (starts) return all;
  all.push_back(std::make_unique<CheckSubcommand>(app));
  all.push_back(std::make_unique<ConfigSubcommand>(app));
  all.push_back(std::make_unique<CompletionSubcommand>(app));
  all.push_back(std::make_unique<AgentSubcommand>(app));
  all.push_back(std::make_unique<OciProfileSubcommand>(app));
  for (auto& client : make_client_subcommands(app)) all.push_back(std::move(client));
  all.push_back(std::make_unique<FsckSubcommand>(app));
  return all;
}

/// Of all subcommands' options.
std::vector<std::string> every_variable() {
  CLI::App all("", "shmvisor");
  std::vector<std::string> names;
  for (const auto& subcommand : make_subcommands(all, false)) {
    for (const CLI::Option* const option : subcommand->app().get_options()) {
      std::string name = variable_of(*option);
      if (!name.empty()) names.push_back(std::move(name));
    }
  }
  return names;
}

int parse_and_execute(int argc, char** argv) {
  CLI::App app("System V shared memory of its own for any command.", "shmvisor");
  app.formatter(std::make_shared<HelpFormatter>(kProgramHelp));
  app.get_help_ptr()->description("Print this; behind a subcommand: its options");
  app.set_version_flag("--version", std::string("shmvisor ") + program_version(),
                       "Print the version");
  app.require_subcommand(1);
  const auto subcommands = make_subcommands(app, argc > 1 && std::string_view(argv[1]) == "run");

  std::vector<std::string> own_words;  // without those of a command
  try {
    std::vector<std::string> words(argv + 1, argv + argc);
    std::vector<std::string> behind;
    const Subcommand* named = nullptr;
    for (const auto& subcommand : subcommands) {
      if (words.empty() || words.front() != subcommand->name()) continue;
      named = subcommand.get();
      behind.assign(words.begin() + 1, words.end());
      subcommand->take_words(behind);
      words.resize(1);
      words.insert(words.end(), behind.begin(), behind.end());
    }
    own_words = words;
    if (named != nullptr) named->refuse_empty_values(behind);
    std::reverse(words.begin(), words.end());  // as CLI11 wants them
    app.parse(std::move(words));
    for (const auto& subcommand : subcommands) {
      if (subcommand->chosen()) return subcommand->execute(every_variable);
    }
  } catch (const CLI::ParseError& error) {
    // --help and --version come this way too, with 0.
    if (error.get_exit_code() == 0) return app.exit(error);
    // Who threw this has said why.
    if (dynamic_cast<const CLI::RuntimeError*>(&error) != nullptr) return exit_status::kOwnFailure;
    const std::string complaint = config::on_one_line(complaint_about(app, own_words, error));
    (void)std::fprintf(stderr, "shmvisor: %s\n", complaint.c_str());
  }
  return exit_status::kOwnFailure;
}

int run_all(std::vector<char*> words) {
  const std::string_view first = words.size() > 1 ? words[1] : "";
  if (!begin_program(first == "run" || first == "agent")) return exit_status::kOwnFailure;
  if (first == "resume-check" && !begin_check(words)) {
    return exit_status::kOwnFailure;
  }
  const auto argc = static_cast<int>(words.size());
  char** const argv = words.data();
  try {
    const int status = parse_and_execute(argc, argv);
    // Of a program that has begun to serve nothing is left to go back to.
    if (status == exit_status::kOwnFailure) go_back("");
    return status == 0 && !all_printed() ? exit_status::kOwnFailure : status;
  } catch (const std::exception& error) {  // no memory, most likely
    (void)std::fprintf(stderr, "shmvisor: %s\n", error.what());
    go_back("");
    return exit_status::kOwnFailure;
  }
}

}  // namespace

int main(int argc, char** argv) {
  // Each thread would make an arena of its own as it starts, for the few small things that it
  // needs.
  ::mallopt(M_ARENA_MAX, 2);
  occupy_standard_streams();
  return with_roomy_stack([argc, argv] { return run_all({argv, argv + argc}); });
}
