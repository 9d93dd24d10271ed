// Combinations of options in which one does nothing, by one table. What contradicts itself whatever
// the values are is CLI::Option::excludes().
//
// Options of the environment and of a file are for each run that they may be of use to, so that
// they may do nothing beside one of the command line. Thread rule: the main thread.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace shmvisor {

/// How an option is called in a sentence: "--trace", or where it comes from elsewhere by its place.
using NameOf = std::function<std::string(const CLI::Option&)>;

/// Of those of the command line that do nothing beside what all sources have set, or without it.
/// Throws CLI::ValidationError. `given`: "--name". Once all options are known.
void refuse_useless(const CLI::App& app, const std::set<std::string>& given, const NameOf& name_of);

struct NamedFile {
  const CLI::Option* option = nullptr;
  std::string path;
};
/// Two options that name one file, of which one would overwrite what the other one writes or reads.
struct SharedFile {
  NamedFile file;
  NamedFile other;
};
/// The first of them; nothing where there is none. `app`: of `run` or `agent`. `more`: files that
/// its options name in another way than by their values.
[[nodiscard]] std::optional<SharedFile> find_shared_file(const CLI::App& app,
                                                         const std::vector<NamedFile>& more);
/// What is wrong, a clause behind the name of the option.
[[nodiscard]] std::string sentence_about(const SharedFile& shared, const NameOf& name_of);

}  // namespace shmvisor
