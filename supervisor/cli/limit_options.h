// --shmmax, --shmall and --shmmni, for the subcommands that make registries.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "policy/limits/limits.h"

namespace shmvisor {

/// The title over them in a help.
inline constexpr const char* kLimitsGroup = "Limits and memory";

/// Why a text is no size or number of segments: "'1X' is no whole number from 0 to ...".
[[nodiscard]] std::string no_size(const std::string& text, std::uint64_t least = 0);
[[nodiscard]] std::string no_shmmni(const std::string& text);

/// `limits` must outlive `app`. A bad value is a CLI::ValidationError that names the option.
void add_limit_options(CLI::App& app, Limits& limits);

}  // namespace shmvisor
