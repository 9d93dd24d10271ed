// Options from the environment, for an image whose command line cannot be changed: --shmmax is also
// SHMVISOR_SHMMAX, --log-level SHMVISOR_LOG_LEVEL, and so on for every long option. A flag takes 1
// or 0, true or false, on or off. The command line wins, also where it gives an option that does
// not go with the variable's (--join beside SHMVISOR_SHMMAX); an empty variable counts as none. The
// variables stay in the environment, so that the command gets them as they are.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace shmvisor {

/// "SHMVISOR_LOG_LEVEL" for "--log-level"; empty for an option that has no long name.
std::string variable_of(const CLI::Option& option);

/// Sets the options of `app`, already parsed, that the command line did not give. A bad value, or
/// two variables that exclude each other, is a CLI::ValidationError that names the variable.
void read_environment(CLI::App& app);

/// A CLI::ValidationError for "10x" as the value of a flag, which CLI11 converts by stoll(3): it
/// would take it for 10.
void check_flag(const std::string& where, const std::string& text);

/// Variables of the environment that have a value, begin as those of options do, and are none of
/// `app`.
[[nodiscard]] std::vector<std::string> unknown_variables(const CLI::App& app);

/// Of `known` the one that `variable` was most likely meant to be; empty: none.
[[nodiscard]] std::string nearest_variable(const std::string& variable,
                                           const std::vector<std::string>& known);

}  // namespace shmvisor
