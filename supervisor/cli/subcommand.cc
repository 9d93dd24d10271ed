#include "supervisor/cli/subcommand.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "supervisor/cli/environment.h"
#include "supervisor/log/limited_log.h"
#include "supervisor/log/process_log.h"

namespace shmvisor {
namespace {

constexpr std::string_view kVariables =
    "An option --some-name is also taken from the environment: SHMVISOR_SOME_NAME.";

/// Written before the end, also by an exception.
class LastLines {
 public:
  LastLines() = default;
  LastLines(const LastLines&) = delete;
  LastLines& operator=(const LastLines&) = delete;
  ~LastLines() { flush_process_log(); }
};

}  // namespace

Subcommand::Subcommand(CLI::App& parent, const std::string& name, const std::string& description,
                       HelpText help)
    : name_(name), app_(*parent.add_subcommand(name, description)) {
  if (help.notes.empty()) help.notes = kVariables;
  app_.formatter(std::make_shared<HelpFormatter>(help));
  app_.get_help_ptr()->description("Print this")->group(kCommonGroup);
  app_.add_flag("-v,--verbose", verbosity_, "Log more; repeat for more")->group(kCommonGroup);
  app_.add_option("--log-level", log_level_, "What to log on standard error; warning by default")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "critical", "off"}))
      ->default_str(log_level_)
      ->type_name("LEVEL")
      ->group(kCommonGroup);
  app_.add_option("--without", without_, "Do without a kernel feature that 'shmvisor check' names")
      ->delimiter(',')
      ->check([](const std::string& feature) {
        if (KernelFeatures::by_name(feature)) return std::string();
        return "no feature is called '" + feature + "'";
      })
      ->type_name("FEATURE")
      ->group(kCommonGroup);
}

void Subcommand::hide_log_options() {
  for (const char* const name : {"--verbose", "--log-level", "--without"}) {
    app_.get_option(name)->group("");
  }
  // Alone it needs no title of its own.
  app_.get_help_ptr()->group("Options");
}

int Subcommand::execute() {
  read_environment(app_);
  read_configuration();
  KernelFeatures features;
  set_up_log();
  const LastLines last_lines;
  switch_off(features);
  const int status = run(features);
  tell_of_lines_left_out();
  return status;
}

/// Standard error, and nothing but what an operator should know.
void Subcommand::set_up_log() const {
  const auto level = static_cast<int>(spdlog::level::from_str(log_level_));
  set_up_process_log(static_cast<spdlog::level::level_enum>(
      std::max(level - verbosity_, static_cast<int>(spdlog::level::trace))));
}

void Subcommand::switch_off(KernelFeatures& features) const {
  for (const std::string& name : without_) {
    if (const auto feature = KernelFeatures::by_name(name)) features.mark_absent(*feature);
  }
}

}  // namespace shmvisor
