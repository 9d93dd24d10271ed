// Combinations of options in which one does nothing, by one table. What contradicts itself whatever
// the values are is CLI::Option::excludes().
//
// Options of the environment and of a file are for each run that they may be of use to, so that
// they may do nothing beside one of the command line. Thread rule: the main thread.
#pragma once

#include <CLI/CLI.hpp>
#include <set>
#include <string>

namespace shmvisor {

/// Of those of the command line that do nothing beside what all sources have set, or without it.
/// Throws CLI::ValidationError. `given`: "--name". Once all options are known.
void refuse_useless(const CLI::App& app, const std::set<std::string>& given);

/// Where two options name one file, of which one would overwrite what the other one writes or
/// reads. Throws CLI::ValidationError. `app`: of `run` or `agent`, with all options known.
void refuse_shared_files(const CLI::App& app);

}  // namespace shmvisor
