#include "supervisor/cli/combinations.h"

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "policy/base/linked_path.h"
#include "supervisor/audit/audit_place.h"
#include "supervisor/cli/option_list.h"

namespace shmvisor {
namespace {

using Fits = bool (*)(const std::string& value);

bool any(const std::string& /*value*/) { return true; }
bool is_off(const std::string& value) { return value == "off"; }
bool is_no_file(const std::string& place) { return !is_audit_file(place); }
bool is_journald(const std::string& place) { return place.starts_with("journald"); }

enum class Beside : std::uint8_t { kOther, kNoOther };

/// `option` does nothing beside `other`, or where that is not set.
struct Combination {
  const char* option;
  Beside beside;
  const char* other;
  Fits fits;                 ///< the value of `other`
  const char* unless;        ///< an option that makes use of it all the same; or null
  std::string_view because;  ///< a clause about `other`
};

constexpr std::array kCombinations = {
    Combination{"--audit-format", Beside::kNoOther, "--audit", any, nullptr, ""},
    Combination{"--audit-size", Beside::kNoOther, "--audit", any, nullptr, ""},
    Combination{"--audit-keep", Beside::kNoOther, "--audit", any, nullptr, ""},
    Combination{"--audit-size", Beside::kOther, "--audit", is_no_file, nullptr, "which is no file"},
    Combination{"--audit-keep", Beside::kOther, "--audit", is_no_file, nullptr, "which is no file"},
    Combination{"--audit-format", Beside::kOther, "--audit", is_journald, nullptr,
                "which has a field for each member"},
    Combination{"--own-group", Beside::kOther, "--group", any, nullptr,
                "which gives the command a group of its own already"},
    Combination{"--userns", Beside::kOther, "--proc", is_off, "--private-ipc",
                "unless for --private-ipc"},
    Combination{"--keeper-deaths", Beside::kNoOther, "--keeper", any, nullptr, ""}};

/// Options of files and of sockets.
constexpr std::array kFileOptions = {"--config",        "--restore", "--save-at-end", "--trace",
                                     "--report",        "--audit",   "--control",     "--serve",
                                     "--join-or-serve", "--socket"};
/// A run may go on from where the last one ended.
bool is_of_saved_state(const CLI::Option& option) {
  return main_name(option) == "--restore" || main_name(option) == "--save-at-end";
}

std::string value_of(const CLI::Option& option) {
  return option.results().empty() ? std::string() : option.results().front();
}

/// Of a flag: "false", "0", "off" and so on.
bool is_switched_off(const std::string& value) {
  try {
    return CLI::detail::to_flag_value(value) < 1;
  } catch (const std::invalid_argument&) {
    return false;
  }
}

/// A flag that is not wanted is as good as none.
bool is_wanted(const CLI::Option& option) {
  if (option.count() == 0) return false;
  const std::string value = value_of(option);
  if (has_optional_value(option)) return flag_word(value).value_or(true);
  return !(is_flag(option) && is_switched_off(value));
}

std::string sentence(const Combination& one, const CLI::Option& other, const NameOf& name_of) {
  if (one.beside == Beside::kNoOther) return "it does nothing without " + spelling(other);
  std::string text = "it does nothing with " + name_of(other);
  if (!is_flag(other)) text += " " + value_of(other);
  return text + ", " + std::string(one.because);
}

/// Of those combinations that are `beside`. Empty where the option may do something.
std::string why_useless(const CLI::App& app, const CLI::Option& option, Beside beside,
                        const NameOf& name_of) {
  for (const Combination& one : kCombinations) {
    if (one.beside != beside || main_name(option) != one.option) continue;
    const CLI::Option* const other = app.get_option_no_throw(one.other);
    if (other == nullptr) continue;
    const CLI::Option* const unless =
        one.unless == nullptr ? nullptr : app.get_option_no_throw(one.unless);
    if (unless != nullptr && is_wanted(*unless)) continue;
    const bool is_there = is_wanted(*other) && one.fits(value_of(*other));
    if (is_there == (beside == Beside::kOther)) return sentence(one, *other, name_of);
  }
  return {};
}

/// One that has bytes to lose, or is to be made: not a terminal, a pipe or /dev/null.
std::optional<std::string> file_of(const CLI::Option& option) {
  if (option.count() == 0) return std::nullopt;
  const std::string path = value_of(option);
  // Words for something else than a file; a flag's values of --trace and --report.
  if (path.empty() || path == "-" || path == "auto" || flag_word(path)) return std::nullopt;
  const bool is_audit = main_name(option) == "--audit";
  if (is_audit && !is_audit_file(path)) return std::nullopt;
  if (path.starts_with("name:")) return std::nullopt;
  return path;
}

/// Absolute, and where links lead. Empty where that cannot be told.
std::filesystem::path resolved(const std::string& path) {
  const auto linked = linked_path(path);
  if (!linked) return {};
  std::error_code error;
  const auto absolute = std::filesystem::absolute(*linked, error);
  return error ? std::filesystem::path() : std::filesystem::weakly_canonical(absolute, error);
}

bool are_one_file(const std::string& one, const std::string& other) {
  struct stat first {};
  struct stat second {};
  const bool first_there = ::stat(one.c_str(), &first) == 0;
  const bool second_there = ::stat(other.c_str(), &second) == 0;
  if (first_there && second_there) {
    return first.st_dev == second.st_dev && first.st_ino == second.st_ino &&
           (S_ISREG(first.st_mode) || S_ISSOCK(first.st_mode));
  }
  if (first_there != second_there) return false;
  const auto whole_one = resolved(one);
  return !whole_one.empty() && whole_one == resolved(other);
}

}  // namespace

void refuse_useless(const CLI::App& app, const std::set<std::string>& given,
                    const NameOf& name_of) {
  for (const std::string& name : given) {
    const CLI::Option* const option = app.get_option_no_throw(name);
    if (option == nullptr || !is_wanted(*option)) continue;
    for (const Beside beside : {Beside::kNoOther, Beside::kOther}) {
      const std::string why = why_useless(app, *option, beside, name_of);
      if (!why.empty()) throw CLI::ValidationError(name, why);
    }
  }
}

std::optional<SharedFile> find_shared_file(const CLI::App& app,
                                           const std::vector<NamedFile>& more) {
  std::vector<NamedFile> files;
  for (const char* const name : kFileOptions) {
    const CLI::Option* const option = app.get_option_no_throw(name);
    const auto path = option == nullptr ? std::nullopt : file_of(*option);
    if (path) files.push_back({option, *path});
  }
  files.insert(files.end(), more.begin(), more.end());
  for (auto file = files.begin(); file != files.end(); ++file) {
    for (auto other = files.begin(); other != file; ++other) {
      const bool is_both_ways =
          is_of_saved_state(*file->option) && is_of_saved_state(*other->option);
      if (!is_both_ways && are_one_file(file->path, other->path)) return SharedFile{*file, *other};
    }
  }
  return std::nullopt;
}

std::string sentence_about(const SharedFile& shared, const NameOf& name_of) {
  const std::string clause = "'" + shared.file.path + "' is ";
  if (shared.file.option == shared.other.option) return clause + "given twice";
  return clause + "the file of " + name_of(*shared.other.option);
}

}  // namespace shmvisor
