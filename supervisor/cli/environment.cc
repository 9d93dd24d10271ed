#include "supervisor/cli/environment.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace shmvisor {

std::string variable_of(const CLI::Option& option) {
  if (option.get_lnames().empty()) return {};
  std::string name = "SHMVISOR_" + option.get_lnames().front();
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char letter) {
    return letter == '-' ? '_' : static_cast<char>(std::toupper(letter));
  });
  return name;
}

void read_environment(CLI::App& app) {
  for (CLI::Option* const option : app.get_options()) {
    if (option == app.get_help_ptr() || option->count() != 0) continue;
    const std::string variable = variable_of(*option);
    const char* const text = variable.empty() ? nullptr : std::getenv(variable.c_str());
    if (text == nullptr || *text == '\0') continue;
    try {
      option->add_result(text);
      option->run_callback();
    } catch (const CLI::ParseError& error) {
      throw CLI::ValidationError(variable + " in the environment", error.what());
    }
  }
}

}  // namespace shmvisor
