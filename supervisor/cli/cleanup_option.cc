#include "supervisor/cli/cleanup_option.h"

#include <map>
#include <string>

#include "supervisor/cli/limit_options.h"

namespace shmvisor {

void add_cleanup_option(CLI::App& app, CleanupMode& mode) {
  static const std::map<std::string, CleanupMode> kModes = {
      {"keep", CleanupMode::kKeep},
      {"rmid-forced", CleanupMode::kRmidForced},
      {"orphaned", CleanupMode::kOrphaned}};
  app.add_option_function<std::string>(
         "--cleanup", [&mode](const std::string& name) { mode = kModes.at(name); },
         "What ended processes leave: keep (the default), rmid-forced (as the sysctl), orphaned "
         "(remove)")
      ->check(CLI::IsMember({"keep", "rmid-forced", "orphaned"}))
      ->type_name("MODE")
      ->default_str("keep")
      ->group(kLimitsGroup);
}

}  // namespace shmvisor
