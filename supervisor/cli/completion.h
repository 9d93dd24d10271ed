// Completions of the command line for shells, out of the definitions of the options: `shmvisor
// completion bash`. They are printed by the program, and not files of the project, so that they are
// those of this very program, also where it is one file without a package.
//
// Source: bash(1), Programmable Completion; zshcompsys(1), _arguments. Thread rule: the main
// thread.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace shmvisor {

[[nodiscard]] std::string bash_completion(const CLI::App& app);
[[nodiscard]] std::string zsh_completion(const CLI::App& app);

/// What a word of the command line can be.
struct Completed {
  enum class Kind {
    kNothing,   ///< that could be known
    kFile,      ///< a path
    kRun,       ///< the name of a run
    kSegments,  ///< identifiers
    kWords,     ///< one of `words`
  };
  Kind kind = Kind::kNothing;
  std::string words = {};  ///< with spaces between
};
/// The value of `option`, or the operand that it is, of the subcommand `used`.
[[nodiscard]] Completed completed_value(const CLI::App& used, const CLI::Option& option);

}  // namespace shmvisor
