#include "supervisor/cli/option_list.h"

#include <cstddef>
#include <utility>

namespace shmvisor {
namespace {

bool any_app(const CLI::App* /*app*/) { return true; }

}  // namespace

std::vector<const CLI::Option*> visible_options(const CLI::App& app) {
  std::vector<const CLI::Option*> options;
  const bool is_group = app.get_name().empty() && app.get_parent() != nullptr;
  for (const CLI::Option* const option : app.get_options()) {
    const bool twice = is_group && option == app.get_help_ptr();
    if (!option->get_group().empty() && !twice) options.push_back(option);
  }
  // A group of options is a subcommand without a name.
  for (const CLI::App* const group : app.get_subcommands(any_app)) {
    if (!group->get_name().empty()) continue;
    const auto of_group = visible_options(*group);
    options.insert(options.end(), of_group.begin(), of_group.end());
  }
  return options;
}

std::vector<const CLI::App*> named_subcommands(const CLI::App& app) {
  std::vector<const CLI::App*> named;
  for (const CLI::App* const one : app.get_subcommands(any_app)) {
    if (!one->get_name().empty()) named.push_back(one);
  }
  return named;
}

bool is_operand(const CLI::Option& option) { return !option.nonpositional(); }

bool is_flag(const CLI::Option& option) { return option.get_items_expected_max() == 0; }

bool has_optional_value(const CLI::Option& option) {
  return !is_flag(option) && !is_operand(option) && option.get_items_expected_min() == 0;
}

std::optional<bool> flag_word(std::string value) {
  value = CLI::detail::to_lower(std::move(value));
  for (const char* const word : {"true", "on", "yes", "enable", "1"}) {
    if (value == word) return true;
  }
  for (const char* const word : {"false", "off", "no", "disable", "0"}) {
    if (value == word) return false;
  }
  return std::nullopt;
}

std::string value_name(const CLI::Option& option) {
  if (is_flag(option)) return {};
  // Behind a colon CLI11 says what its validators check.
  const std::string type = option.get_type_name();
  return type.substr(0, type.find(':'));
}

std::vector<std::string> known_values(const CLI::Option& option) {
  std::vector<std::string> values;
  const std::string type = option.get_type_name();
  const std::size_t begin = type.find(":{");
  const std::size_t end = type.find('}');
  if (begin == std::string::npos || end == std::string::npos) return values;
  for (std::size_t at = begin + 2; at < end;) {
    const std::size_t comma = std::min(type.find(',', at), end);
    values.push_back(type.substr(at, comma - at));
    at = comma + 1;
  }
  return values;
}

std::string main_name(const CLI::Option& option) {
  if (!option.get_lnames().empty()) return "--" + option.get_lnames().front();
  if (!option.get_snames().empty()) return "-" + option.get_snames().front();
  return option.get_name(/*positional=*/true);
}

std::string spelling(const CLI::Option& option) {
  if (is_operand(option)) {
    return main_name(option) + (option.get_items_expected_max() > 1 ? "..." : "");
  }
  std::string text;
  if (!option.get_snames().empty() && !option.get_lnames().empty()) {
    text = "-" + option.get_snames().front() + ", ";
  }
  text += main_name(option);
  if (is_flag(option)) return text;
  if (has_optional_value(option)) return text + "[=" + value_name(option) + "]";
  return text + " " + value_name(option);
}

}  // namespace shmvisor
