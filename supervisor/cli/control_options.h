// --control and --name, of what opens a control socket.
#pragma once

#include <CLI/CLI.hpp>

#include "supervisor/control/control_options.h"

namespace shmvisor {

/// The title over them in a help.
inline constexpr const char* kControlGroup = "Looking inside";

void add_control_options(CLI::App& app, ControlOptions& options);

}  // namespace shmvisor
