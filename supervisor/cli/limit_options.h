// --shmmax, --shmall and --shmmni, for the subcommands that make registries.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "policy/limits/limits.h"

namespace shmvisor {

/// The title over them in a help.
inline constexpr const char* kLimitsGroup = "Limits and memory";

/// `limits` must outlive `app`. A bad value is a CLI::ValidationError that names the option.
void add_limit_options(CLI::App& app, Limits& limits);

}  // namespace shmvisor
