#include "supervisor/cli/environment.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "supervisor/cli/plain_words.h"
#include "supervisor/config/nearest.h"

namespace shmvisor {
namespace {

constexpr std::string_view kPrefix = "SHMVISOR_";

/// Null where the environment says nothing.
const char* value_of(const CLI::Option& option) {
  const std::string variable = variable_of(option);
  const char* const text = variable.empty() ? nullptr : std::getenv(variable.c_str());
  return text == nullptr || *text == '\0' ? nullptr : text;
}

/// By itself, or by another option that it does not go with.
bool settled_by_command_line(const CLI::Option& option) {
  const auto given = [](const CLI::Option* one) { return one->count() != 0; };
  const auto& excluded = option.get_excludes();
  return given(&option) || std::any_of(excluded.begin(), excluded.end(), given);
}

void take(CLI::Option& option) {
  const std::string text = value_of(option);
  const std::string where = variable_of(option) + " in the environment";
  // What is hidden is taken with any value: Subcommand::hide_log_options().
  const bool flag = option.get_items_expected_max() == 0 && !option.get_group().empty();
  if (flag) check_flag(where, text);
  try {
    option.add_result(text);
    option.run_callback();
  } catch (const CLI::ParseError& error) {
    throw CLI::ValidationError(where, in_plain_words(error.what()));
  }
}

}  // namespace

void check_flag(const std::string& where, const std::string& text) {
  constexpr const char* kDigits = "0123456789";
  if (text.find_first_of(kDigits) == std::string::npos ||
      text.find_first_not_of(kDigits) == std::string::npos) {
    return;
  }
  throw CLI::ValidationError(where, "'" + text + "' is neither a number nor true or false");
}

std::string variable_of(const CLI::Option& option) {
  if (option.get_lnames().empty()) return {};
  std::string name = std::string(kPrefix) + option.get_lnames().front();
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char letter) {
    return letter == '-' ? '_' : static_cast<char>(std::toupper(letter));
  });
  return name;
}

std::vector<std::string> unknown_variables(const CLI::App& app) {
  std::vector<std::string> unknown;
  for (char** one = environ; *one != nullptr; ++one) {
    const std::string_view text = *one;
    if (!text.starts_with(kPrefix)) continue;
    const std::size_t equals = text.find('=');
    const std::string name(text.substr(0, equals));
    const bool is_word = std::ranges::all_of(name, [](unsigned char letter) {
      return letter == '_' || (letter < 0x80 && std::isalnum(letter) != 0);
    });
    if (!is_word || equals == std::string_view::npos || equals + 1 == text.size()) continue;
    const auto is_its = [&name](const CLI::Option* option) { return variable_of(*option) == name; };
    if (!std::ranges::any_of(app.get_options(), is_its)) unknown.push_back(name);
  }
  return unknown;
}

std::string nearest_variable(const std::string& variable, const std::vector<std::string>& known) {
  // What all have in common makes none more alike.
  std::vector<std::string> names;
  for (const std::string& one : known) names.push_back(one.substr(kPrefix.size()));
  const std::string nearest = nearest_word(variable.substr(kPrefix.size()), names);
  return nearest.empty() ? "" : std::string(kPrefix) + nearest;
}

void read_environment(CLI::App& app) {
  std::vector<CLI::Option*> taken;
  for (CLI::Option* const option : app.get_options()) {
    if (option == app.get_help_ptr() || settled_by_command_line(*option)) continue;
    if (value_of(*option) != nullptr) taken.push_back(option);
  }
  for (CLI::Option* const option : taken) {
    for (CLI::Option* const other : taken) {
      if (option->get_excludes().count(other) == 0) continue;
      throw CLI::ValidationError(variable_of(*option) + " in the environment",
                                 "does not go with " + variable_of(*other));
    }
    take(*option);
  }
}

}  // namespace shmvisor
