// The command line of shmvisor.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>

#include "policy/limits.h"
#include "supervisor/check/check.h"
#include "supervisor/kernel/features.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/launch/run.h"

namespace {

using namespace shmvisor;

constexpr const char* kLogLevels = "trace, debug, info, warning, error, critical, off";

struct Arguments {
  RunOptions run;
  std::string log_level = "warning";
  int verbosity = 0;
  bool no_linger = false;
  std::vector<std::string> without;
};

/// CLI11 reports an option's bad value by exception, from here and no further than main().
std::uint64_t size_or_throw(const std::string& text, const char* option) {
  const auto size = parse_size(text);
  if (!size) {
    throw CLI::ValidationError(option, "'" + text + "' is not a number with K, M, G or T");
  }
  return *size;
}

void add_run_options(CLI::App& run, Arguments& arguments) {
  Limits& limits = arguments.run.limits;
  run.add_option_function<std::string>(
         "--shmmax",
         [&limits](const std::string& text) { limits.shmmax = size_or_throw(text, "--shmmax"); },
         "Largest segment, in bytes (K, M, G, T)")
      ->type_name("SIZE");
  run.add_option_function<std::string>(
         "--shmall",
         [&limits](const std::string& text) { limits.shmall = size_or_throw(text, "--shmall"); },
         "All segments together, in pages of 4 KiB (K, M, G, T)")
      ->type_name("PAGES");
  run.add_option_function<std::string>(
         "--shmmni",
         [&limits](const std::string& text) {
           const auto shmmni = parse_shmmni(text);
           if (!shmmni) throw CLI::ValidationError("--shmmni", "at most 32768");
           limits.shmmni = *shmmni;
         },
         "Most segments at a time")
      ->type_name("NUMBER");
  run.add_flag("--no-linger", arguments.no_linger,
               "End with the command, even if descendants of it live on");
}

void add_common_options(CLI::App& command, Arguments& arguments) {
  command.add_flag("-v", arguments.verbosity, "Log more; repeat for more");
  command
      .add_option("--log-level", arguments.log_level,
                  std::string("What to log on standard error: ") + kLogLevels)
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "critical", "off"}))
      ->type_name("LEVEL");
  command
      .add_option("--without", arguments.without,
                  "Do without a kernel feature, by its name in 'shmvisor check'")
      ->delimiter(',')
      ->type_name("FEATURE");
}

/// Standard error, and nothing but what an operator should know.
void set_up_log(const Arguments& arguments) {
  auto logger = spdlog::stderr_logger_mt("shmvisor");
  logger->set_pattern("shmvisor[%P]: %l: %v");
  spdlog::set_default_logger(logger);
  const auto level = static_cast<int>(spdlog::level::from_str(arguments.log_level));
  spdlog::set_level(static_cast<spdlog::level::level_enum>(
      std::max(level - arguments.verbosity, static_cast<int>(spdlog::level::trace))));
}

void switch_off(const std::vector<std::string>& names, KernelFeatures& features) {
  for (const std::string& name : names) {
    const auto feature = KernelFeatures::by_name(name);
    if (!feature) throw CLI::ValidationError("--without", "no feature is called '" + name + "'");
    features.absent(*feature);
  }
}

/// Where the command begins among `words`: at the first that is no option of ours, or behind "--".
/// CLI11 would go on looking for options behind it.
std::size_t command_position(const CLI::App& run, const std::vector<std::string>& words) {
  std::size_t at = 0;
  while (at < words.size() && words[at].size() > 1 && words[at].front() == '-') {
    if (words[at] == "--") return at + 1;
    const CLI::Option* const option = run.get_option_no_throw(words[at]);
    const bool takes_next = option != nullptr && option->get_items_expected_min() > 0;
    at += takes_next ? 2 : 1;
  }
  return std::min(at, words.size());
}

/// Splits `shmvisor run OPTIONS COMMAND`; parses the options and keeps the command.
void parse(CLI::App& app, CLI::App& run, Arguments& arguments, std::vector<std::string> words) {
  if (!words.empty() && words.front() == "run") {
    const std::vector<std::string> tail(words.begin() + 1, words.end());
    const std::size_t at = command_position(run, tail);
    arguments.run.command.assign(tail.begin() + static_cast<std::ptrdiff_t>(at), tail.end());
    words.resize(at + 1);
    if (words.back() == "--") words.pop_back();
  }
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  app.parse(std::move(words));
  if (run && arguments.run.command.empty()) throw CLI::RequiredError("COMMAND");
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  KernelFeatures features;
  CLI::App app("System V shared memory of its own for any command.", "shmvisor");
  app.set_version_flag("--version", std::string("shmvisor ") + SHMVISOR_VERSION);
  app.require_subcommand(1);
  CLI::App* const run = app.add_subcommand(
      "run", "Run a command with segments of its own: run [OPTIONS] [--] COMMAND [ARG...]");
  add_run_options(*run, arguments);
  add_common_options(*run, arguments);
  CLI::App* const check = app.add_subcommand("check", "See what this machine has for shmvisor");
  add_common_options(*check, arguments);

  try {
    parse(app, *run, arguments, std::vector<std::string>(argv + 1, argv + argc));
    set_up_log(arguments);
    switch_off(arguments.without, features);
    if (*check) return run_check(std::cout, features);
  } catch (const CLI::ParseError& error) {
    // --help and --version come this way too, with 0.
    return app.exit(error) == 0 ? 0 : exit_status::kOwnFailure;
  }
  arguments.run.linger = !arguments.no_linger;
  return run_command(arguments.run, features);
}
