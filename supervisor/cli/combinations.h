// Combinations of options in which one does nothing, by one table. What contradicts itself whatever
// the values are is CLI::Option::excludes().
//
// Options of the environment and of a file are for each run that they may be of use to, so that
// they may do nothing beside one of the command line. Thread rule: the main thread.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <set>
#include <string>

namespace shmvisor {

using OptionIsSet = std::function<bool(const CLI::Option&)>;

/// Why `option` does nothing beside those of its app that are set, as "it does nothing with ...";
/// empty where it may do something.
[[nodiscard]] std::string why_useless(const CLI::App& app, const CLI::Option& option,
                                      const OptionIsSet& is_set);

/// The same, of options that it is of no use without looked at, too: for those of the command line,
/// once all options are known. Throws CLI::ValidationError. `given`: "--name".
void refuse_useless(const CLI::App& app, const std::set<std::string>& given);

/// Where two options name one file, of which one would overwrite what the other one writes or
/// reads. Throws CLI::ValidationError. `app`: of `run` or `agent`, with all options known.
void refuse_shared_files(const CLI::App& app);

}  // namespace shmvisor
