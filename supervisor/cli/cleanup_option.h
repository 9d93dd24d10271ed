// --cleanup: what becomes of segments that processes leave behind, for `run` and `agent`.
#pragma once

#include <CLI/CLI.hpp>

#include "supervisor/session/cleanup_mode.h"

namespace shmvisor {

void add_cleanup_option(CLI::App& app, CleanupMode& mode);

}  // namespace shmvisor
