// The options of a subcommand as people see them: for its help, completions and hints. They come
// from the definitions, so that none of these can leave an option out.
//
// Ownership: options belong to their CLI::App. Thread rule: the main thread.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

namespace shmvisor {

/// Those of `app` and of its groups, and its operands; not what is hidden.
[[nodiscard]] std::vector<const CLI::Option*> visible_options(const CLI::App& app);

/// The subcommands of `app` that have a name.
[[nodiscard]] std::vector<const CLI::App*> named_subcommands(const CLI::App& app);

/// A word of the command line that has no "-" before it.
[[nodiscard]] bool is_operand(const CLI::Option& option);
[[nodiscard]] bool is_flag(const CLI::Option& option);
/// Whether the value may be left out, and then follows "=".
[[nodiscard]] bool has_optional_value(const CLI::Option& option);
/// What a flag's value says where it is a word for that, as "true", "off" or "1".
[[nodiscard]] std::optional<bool> flag_word(std::string value);
/// "PATH"; empty for a flag.
[[nodiscard]] std::string value_name(const CLI::Option& option);
/// All values, where there are few: "fuse", "hide" and "off".
[[nodiscard]] std::vector<std::string> known_values(const CLI::Option& option);
/// "--proc", "-q", "ID".
[[nodiscard]] std::string main_name(const CLI::Option& option);
/// "-o, --output FILE", "--trace[=FILE]", "ID...".
[[nodiscard]] std::string spelling(const CLI::Option& option);

}  // namespace shmvisor
