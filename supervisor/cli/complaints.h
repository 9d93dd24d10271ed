// What is said of a command line that cannot be: which subcommand or option was most likely meant,
// and which of two that exclude each other to give.
//
// Thread rule: the main thread.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace shmvisor {

/// One clause about what is wrong with `words` (without the program's name), which `app` has parsed
/// and refused by `error`.
[[nodiscard]] std::string complaint_about(const CLI::App& app,
                                          const std::vector<std::string>& words,
                                          const CLI::ParseError& error);

}  // namespace shmvisor
