// --shmmax, --shmall and --shmmni, for the subcommands that make registries.
#pragma once

#include <CLI/CLI.hpp>

#include "policy/limits/limits.h"

namespace shmvisor {

/// `limits` must outlive `app`. A bad value is a CLI::ValidationError that names the option.
void add_limit_options(CLI::App& app, Limits& limits);

}  // namespace shmvisor
