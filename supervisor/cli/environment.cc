#include "supervisor/cli/environment.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <vector>

#include "supervisor/cli/plain_words.h"

namespace shmvisor {
namespace {

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

/// CLI11 converts by stoll(3): it would take "10x" for 10.
bool half_a_number(const std::string& text) {
  constexpr const char* kDigits = "0123456789";
  return text.find_first_of(kDigits) != std::string::npos &&
         text.find_first_not_of(kDigits) != std::string::npos;
}

void take(CLI::Option& option) {
  const std::string text = value_of(option);
  const std::string where = variable_of(option) + " in the environment";
  const bool flag = option.get_items_expected_max() == 0;
  if (flag && half_a_number(text)) {
    throw CLI::ValidationError(where, "'" + text + "' is neither a number nor true or false");
  }
  try {
    option.add_result(text);
    option.run_callback();
  } catch (const CLI::ParseError& error) {
    throw CLI::ValidationError(where, in_plain_words(error.what()));
  }
}

}  // namespace

std::string variable_of(const CLI::Option& option) {
  if (option.get_lnames().empty()) return {};
  std::string name = "SHMVISOR_" + option.get_lnames().front();
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char letter) {
    return letter == '-' ? '_' : static_cast<char>(std::toupper(letter));
  });
  return name;
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
