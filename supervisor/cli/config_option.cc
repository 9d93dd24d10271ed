#include "supervisor/cli/config_option.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <utility>

#include "supervisor/cli/combinations.h"
#include "supervisor/cli/config_reload.h"
#include "supervisor/cli/every_option.h"
#include "supervisor/cli/limit_options.h"
#include "supervisor/cli/option_list.h"
#include "supervisor/cli/plain_words.h"
#include "supervisor/config/config_problem.h"
#include "supervisor/config/rule_warnings.h"
#include "supervisor/config/toml_text.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/launch/kept_configuration.h"

namespace shmvisor {
namespace {

using config::KnownOption;

const std::string& name_of(const CLI::Option& option) { return option.get_lnames().front(); }

KnownOption::Kind kind_of(const CLI::Option& option) {
  if (is_flag(option)) return KnownOption::Kind::kFlag;
  if (has_optional_value(option)) return KnownOption::Kind::kTextOrFlag;
  if (option.get_items_expected_max() > 1) return KnownOption::Kind::kList;
  const std::string type = value_name(option);
  const bool is_number = type == "SIZE" || type == "PAGES" || type == "NUMBER" || type == "SECONDS";
  return is_number ? KnownOption::Kind::kNumber : KnownOption::Kind::kText;
}

std::vector<KnownOption> known(const CLI::App& app, bool limits) {
  std::vector<KnownOption> all;
  for (const CLI::Option* const option : app.get_options()) {
    if (may_be_in_file(app, *option) && is_limit(*option) == limits) {
      all.push_back({name_of(*option), kind_of(*option)});
    }
  }
  return all;
}

config::KnownOptions known_options() {
  const EveryOption every;
  const CLI::App& run = every.run.app();
  const CLI::App& agent = every.agent.app();
  return {known(run, true), known(run, false), known(agent, false)};
}

/// By itself, or by another option that it does not go with.
bool is_settled(const CLI::Option& option) {
  const auto given = [](const CLI::Option* one) { return one->count() != 0; };
  const auto& excluded = option.get_excludes();
  return given(&option) || std::any_of(excluded.begin(), excluded.end(), given);
}

/// A flag that is not wanted goes with all.
bool is_off(const config::OptionSetting& setting) { return setting.values.front() == "false"; }

/// Sets those that are not set yet, by themselves or by another option that they do not go with.
void set_options(CLI::App& app, const config::OptionSettings& settings,
                 config::Problems& problems) {
  using Setting = config::OptionSetting;
  std::vector<std::pair<CLI::Option*, const Setting*>> wanted;
  for (const Setting& setting : settings) {
    CLI::Option* const option = app.get_option_no_throw("--" + setting.name);
    if (option == nullptr || setting.values.empty()) continue;
    if (!is_settled(*option)) wanted.emplace_back(option, &setting);
  }
  for (auto one = wanted.begin(); one != wanted.end(); ++one) {
    CLI::Option* const option = one->first;
    const Setting* const setting = one->second;
    const auto conflict = std::find_if(wanted.begin(), one, [&](const auto& earlier) {
      if (is_off(*setting) || is_off(*earlier.second)) return false;
      return option->get_excludes().count(earlier.first) != 0 ||
             earlier.first->get_excludes().count(option) != 0;
    });
    if (conflict != one) {
      problems.push_back({setting->place, setting->name + " does not go with " +
                                              conflict->second->name + " (" +
                                              conflict->second->place.text() + ")"});
      continue;
    }
    try {
      for (const std::string& value : setting->values) option->add_result(value);
      option->run_callback();
    } catch (const CLI::ParseError& error) {
      option->clear();
      // Of a file there are no hyphens before the name.
      std::string problem = in_plain_words(error.what());
      if (problem.starts_with("--" + setting->name)) problem.erase(0, 2);
      problems.push_back({setting->place, std::move(problem)});
    }
  }
}

/// `subcommand`: has these options and no others.
void look_for_shared_files(const Subcommand& subcommand, const config::OptionSettings& settings,
                           config::Problems& problems) {
  const auto shared = find_shared_file(subcommand.app(), subcommand.more_files());
  if (!shared) return;
  const auto setting_of = [&settings](const CLI::Option& option) {
    return std::ranges::find(settings, name_of(option), &config::OptionSetting::name);
  };
  const auto name_with_place = [&](const CLI::Option& option) {
    const auto setting = setting_of(option);
    return setting == settings.end() ? name_of(option)
                                     : setting->name + " (" + setting->place.text() + ")";
  };
  const auto setting = setting_of(*shared->file.option);
  if (setting == settings.end()) return;
  problems.push_back(
      {setting->place, setting->name + ": " + sentence_about(*shared, name_with_place)});
}

}  // namespace

ConfigOption::ConfigOption(CLI::App& app, std::string table) : app_(app), table_(std::move(table)) {
  app.add_option("--config", path_, "Take options, limits and rules from FILE and FILE.d/*.toml")
      ->check([](const std::string& path) { return path.empty() ? "the path is empty" : ""; })
      ->type_name("FILE")
      ->group(kCommonGroup);
}

void ConfigOption::apply() {
  if (path_.empty()) return;
  for (const CLI::Option* const option : app_.get_options()) {
    if (may_be_in_file(app_, *option) && is_settled(*option)) settled_.insert(name_of(*option));
  }
  const std::vector<config::FileText> files = configuration_to_use(path_);
  auto read = read_and_check(files);
  config::Problems problems;
  if (read) {
    set_options(app_, read->options_of(table_), problems);
  } else {
    problems = read.error();
  }
  if (!problems.empty()) {
    (void)std::fprintf(stderr, "%s\n", config::lines_of(problems, "shmvisor: ").c_str());
    throw CLI::RuntimeError(exit_status::kOwnFailure);
  }
  configuration_ = std::make_shared<const config::Configuration>(std::move(*read));
  keep_configuration(files);
}

void ConfigOption::warn() const {
  if (configuration_ == nullptr) return;
  for (const config::Problem& warning : config::warn_of_rules(*configuration_)) {
    spdlog::warn("{}", warning.line());
  }
}

Steering ConfigOption::steering() const {
  return configuration_ == nullptr ? Steering() : steering_of(*configuration_);
}

ReadSteering ConfigOption::reader() const {
  if (configuration_ == nullptr) return nullptr;
  return ConfigReload(path_, table_, settled_, configuration_);
}

Result<config::Configuration, config::Problems> read_and_check(
    const std::vector<config::FileText>& files) {
  config::Problems problems;
  auto read = config::read_as_far_as_it_goes(files, known_options(), problems);
  const EveryOption every;
  set_options(every.run.app(), read.options_of("run"), problems);
  look_for_shared_files(every.run, read.run, problems);
  // The limits have been tried.
  set_options(every.agent.app(), read.agent, problems);
  look_for_shared_files(every.agent, read.agent, problems);
  if (!problems.empty()) return config::in_order(std::move(problems));
  return read;
}

std::string toml_value(const CLI::Option& option, const std::vector<std::string>& values) {
  if (values.empty()) return {};
  const std::string& first = values.front();
  const bool is_flag = first == "true" || first == "false";
  switch (kind_of(option)) {
    case KnownOption::Kind::kFlag:
      return is_flag ? first : first == "0" ? "false" : "true";
    case KnownOption::Kind::kTextOrFlag:
      if (is_flag) return first;
      return first.empty() ? "true" : config::toml_text(first);
    case KnownOption::Kind::kNumber:
    case KnownOption::Kind::kText:
      return config::toml_text(first);
    case KnownOption::Kind::kList:
      break;
  }
  std::string list;
  for (const std::string& value : values)
    list += (list.empty() ? "" : ", ") + config::toml_text(value);
  return "[" + list + "]";
}

bool is_limit(const CLI::Option& option) {
  static const std::set<std::string> names = [] {
    CLI::App limits_alone;
    Limits limits;
    add_limit_options(limits_alone, limits);
    std::set<std::string> all;
    for (const CLI::Option* const one : limits_alone.get_options()) all.insert(name_of(*one));
    all.erase("help");
    return all;
  }();
  return names.contains(name_of(option));
}

bool may_be_in_file(const CLI::App& app, const CLI::Option& option) {
  if (option.get_lnames().empty() || &option == app.get_help_ptr()) return false;
  // Hidden ones are no promise.
  if (option.get_group().empty()) return false;
  // Another file would have its own place; and how much more to log is what log-level says.
  return name_of(option) != "config" && name_of(option) != "verbose";
}

}  // namespace shmvisor
