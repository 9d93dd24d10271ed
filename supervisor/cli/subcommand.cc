#include "supervisor/cli/subcommand.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "supervisor/cli/environment.h"
#include "supervisor/log/limited_log.h"
#include "supervisor/log/process_log.h"

namespace shmvisor {
namespace {

constexpr const char* kLogLevels = "trace, debug, info, warning, error, critical, off";

/// Written before the end, also by an exception.
class LastLines {
 public:
  LastLines() = default;
  LastLines(const LastLines&) = delete;
  LastLines& operator=(const LastLines&) = delete;
  ~LastLines() { flush_process_log(); }
};

}  // namespace

Subcommand::Subcommand(CLI::App& parent, const std::string& name, const std::string& description)
    : name_(name), app_(*parent.add_subcommand(name, description)) {
  app_.footer("An option --some-name is also taken from the environment: SHMVISOR_SOME_NAME.");
  app_.add_flag("-v,--verbose", verbosity_, "Log more; repeat for more");
  app_.add_option("--log-level", log_level_,
                  std::string("What to log on standard error: ") + kLogLevels)
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "critical", "off"}))
      ->type_name("LEVEL");
  app_.add_option("--without", without_,
                  "Do without a kernel feature, by its name in 'shmvisor check'")
      ->delimiter(',')
      ->check([](const std::string& feature) {
        if (KernelFeatures::by_name(feature)) return std::string();
        return "no feature is called '" + feature + "'";
      })
      ->type_name("FEATURE");
}

int Subcommand::execute() {
  read_environment(app_);
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
