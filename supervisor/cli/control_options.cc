#include "supervisor/cli/control_options.h"

#include "supervisor/control/control_place.h"

namespace shmvisor {

void add_control_options(CLI::App& app, ControlOptions& options) {
  app.add_option("--control", options.path,
                 "Open a control socket here; auto: at the default place")
      ->check([](const std::string& path) { return path.empty() ? "the path is empty" : ""; })
      ->type_name("PATH")
      ->group(kControlGroup);
  app.add_option("--name", options.name, "What 'shmvisor ls' calls it; opens a control socket")
      ->check(control::check_name)
      ->type_name("NAME")
      ->group(kControlGroup);
}

}  // namespace shmvisor
