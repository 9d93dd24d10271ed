// The command line of shmvisor: which subcommand, and the way out.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <iostream>

#include "supervisor/cli/agent_subcommand.h"
#include "supervisor/cli/check_subcommand.h"
#include "supervisor/cli/oci_profile_subcommand.h"
#include "supervisor/cli/run_subcommand.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/launch/roomy_stack.h"

namespace {

using namespace shmvisor;

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
  if (std::cout.flush() && std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return true;
  (void)std::fprintf(stderr, "shmvisor: cannot write to standard output\n");
  return false;
}

int parse_and_execute(int argc, char** argv) {
  CLI::App app("System V shared memory of its own for any command.", "shmvisor");
  app.set_version_flag("--version", std::string("shmvisor ") + SHMVISOR_VERSION);
  app.require_subcommand(1);
  RunSubcommand run(app);
  AgentSubcommand agent(app);
  OciProfileSubcommand oci_profile(app);
  CheckSubcommand check(app);
  const std::array<Subcommand*, 4> subcommands{&run, &agent, &oci_profile, &check};

  try {
    std::vector<std::string> words(argv + 1, argv + argc);
    for (Subcommand* const subcommand : subcommands) {
      if (words.empty() || words.front() != subcommand->name()) continue;
      std::vector<std::string> behind(words.begin() + 1, words.end());
      subcommand->take_words(behind);
      words.resize(1);
      words.insert(words.end(), behind.begin(), behind.end());
    }
    std::reverse(words.begin(), words.end());  // as CLI11 wants them
    app.parse(std::move(words));
    for (Subcommand* const subcommand : subcommands) {
      if (subcommand->chosen()) return subcommand->execute();
    }
  } catch (const CLI::ParseError& error) {
    // --help and --version come this way too, with 0.
    return app.exit(error) == 0 ? 0 : exit_status::kOwnFailure;
  }
  return exit_status::kOwnFailure;
}

int run_all(int argc, char** argv) {
  try {
    const int status = parse_and_execute(argc, argv);
    return status == 0 && !all_printed() ? exit_status::kOwnFailure : status;
  } catch (const std::exception& error) {  // no memory, most likely
    (void)std::fprintf(stderr, "shmvisor: %s\n", error.what());
    return exit_status::kOwnFailure;
  }
}

}  // namespace

int main(int argc, char** argv) {
  occupy_standard_streams();
  return with_roomy_stack([argc, argv] { return run_all(argc, argv); });
}
