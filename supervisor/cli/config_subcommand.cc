#include "supervisor/cli/config_subcommand.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <utility>

#include "supervisor/cli/complaints.h"
#include "supervisor/cli/config_option.h"
#include "supervisor/cli/environment.h"
#include "supervisor/cli/every_option.h"
#include "supervisor/cli/option_list.h"
#include "supervisor/config/nearest.h"
#include "supervisor/config/rule_text.h"
#include "supervisor/config/rule_warnings.h"
#include "supervisor/config/toml_text.h"
#include "supervisor/launch/exit_status.h"

namespace shmvisor {
namespace {

/// As of visudo(8) and nginx(8): it ran, and the file is bad.
constexpr int kBadFile = 1;

using Origins = std::map<const CLI::Option*, std::string>;

/// Where the options come from that have a value now, and had none before.
template <typename Origin>
void note(const CLI::App& app, Origins& origins, Origin origin) {
  for (const CLI::Option* const option : app.get_options()) {
    if (option->count() != 0) origins.emplace(option, origin(*option));
  }
}

void print_line(const std::string& value, const std::string& origin) {
  constexpr int kValueColumns = 40;
  (void)std::printf("%-*s # %s\n", kValueColumns, value.c_str(), origin.c_str());
}

void print_options(const CLI::App& app, const Origins& origins, bool limits) {
  for (const CLI::Option* const option : app.get_options()) {
    if (!may_be_in_file(app, *option) || is_limit(*option) != limits) continue;
    const std::string& name = option->get_lnames().front();
    const auto known = origins.find(option);
    if (known != origins.end()) {
      print_line(name + " = " + toml_value(*option, option->results()), known->second);
    } else if (is_flag(*option)) {
      print_line(name + " = false", "default");
    } else if (!option->get_default_str().empty()) {
      print_line(name + " = " + toml_value(*option, {option->get_default_str()}), "default");
    } else {
      print_line("# " + name + " =", "default");
    }
  }
}

/// As a file has it; empty where all of them have the number.
std::string name_of(const std::optional<std::uint32_t>& uid, const config::UserSettings& settings) {
  if (!uid) return {};
  for (auto one = settings.lower_bound({uid, ""}); one != settings.end(); ++one) {
    if (one->first.first != uid) break;
    if (config::is_account_name(one->second.user)) return one->second.user;
  }
  return {};
}

/// The title of a user's table.
void print_user(const std::string& number, const std::string& name) {
  if (name.empty()) {
    (void)std::printf("\n[limits.uid.%s]\n", number.c_str());
  } else {
    (void)std::printf("\n");
    print_line("[limits.uid." + config::toml_key(name) + "]",
               config::on_one_line(name) + " is " + number);
  }
}

void print_users(const config::Configuration& configuration) {
  std::string table;
  for (const auto& [name, setting] : configuration.user_settings) {
    const std::string user = name.first ? std::to_string(*name.first) : "default";
    if (user != table) print_user(user, name_of(name.first, configuration.user_settings));
    table = user;
    print_line(name.second + " = \"" + setting.value + "\"", setting.place.text());
  }
}

}  // namespace

ConfigSubcommand::ConfigSubcommand(CLI::App& parent)
    : Subcommand(parent, "config", "Check a configuration file, or show what options come of one",
                 {.examples = "shmvisor config check /etc/shmvisor.toml\n"
                              "SHMVISOR_CONFIG=web.toml shmvisor config show run\n"
                              "SHMVISOR_SHMMNI=9 shmvisor config show agent",
                  .notes = "show [run|agent] [OPTION...] tells of each option whether it comes of "
                           "these words, the environment, --config FILE or the default."}) {
  app().group("Start");
  hide_log_options();
  app()
      .add_option("WHAT", what_, "check or show")
      ->required()
      ->check(CLI::IsMember({"check", "show"}));
  app().add_option("FILE", file_, "The file to check");
}

void ConfigSubcommand::take_words(std::vector<std::string>& words) {
  if (words.empty() || words.front() != "show") return;
  if (words.size() > 1 && (words[1] == "--help" || words[1] == "-h")) return;
  shown_words_.assign(words.begin() + 1, words.end());
  words.resize(1);
}

int ConfigSubcommand::run(KernelFeatures& /*features*/) {
  if (what_ == "show") return show();
  if (file_.empty()) throw CLI::RequiredError("FILE");
  return check();
}

int ConfigSubcommand::check() const {
  const auto read = read_and_check(config::read_files(file_));
  if (!read) {
    (void)std::fprintf(stderr, "%s\n", config::lines_of(read.error()).c_str());
    return kBadFile;
  }
  const auto warnings = config::warn_of_rules(*read);
  if (!warnings.empty()) {
    (void)std::fprintf(stderr, "%s\n", config::lines_of(warnings, "warning: ").c_str());
  }
  (void)std::printf("%s: good\n", file_.c_str());
  return 0;
}

int ConfigSubcommand::show() const {
  EveryOption every;
  std::vector<std::string> words = shown_words_;
  const bool is_named = !words.empty() && (words.front() == "run" || words.front() == "agent");
  const std::string name = is_named ? words.front() : "run";
  if (is_named) words.erase(words.begin());
  // `config show run x` would be a command; without the word it is most likely a misspelt one.
  if (!is_named && !words.empty() && !words.front().starts_with('-')) {
    throw CLI::ValidationError("show", words.front() + " not in {run,agent}");
  }
  Subcommand& shown = name == "run" ? static_cast<Subcommand&>(every.run) : every.agent;
  const std::vector<std::string> all = words;
  shown.take_words(words);
  // A command is for `run` alone, and is not shown.
  if (words.size() < all.size() && all[words.size()].ends_with(".toml")) {
    throw CLI::ValidationError("show", "'" + all[words.size()] + "' is no option" +
                                           did_you_mean("--config " + all[words.size()]));
  }
  shown.refuse_empty_values(words);
  words.insert(words.begin(), name);
  std::reverse(words.begin(), words.end());
  std::vector<std::string> given = words;
  try {
    every.parent.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return every.parent.exit(error);
    std::reverse(given.begin(), given.end());
    (void)std::fprintf(stderr, "shmvisor: %s\n",
                       complaint_about(every.parent, given, error).c_str());
    return exit_status::kOwnFailure;
  }
  const CLI::App& app = shown.app();
  Origins origins;
  note(app, origins, [](const CLI::Option&) { return "option"; });
  shown.complete_options([&] {
    note(app, origins,
         [](const CLI::Option& option) { return "environment: " + variable_of(option); });
  });
  const auto configuration = shown.configuration();
  const auto settings =
      configuration == nullptr ? config::OptionSettings() : configuration->options_of(name);
  note(app, origins, [&settings](const CLI::Option& option) {
    const auto by_name = [&option](const config::OptionSetting& one) {
      return one.name == option.get_lnames().front();
    };
    const auto found = std::find_if(settings.begin(), settings.end(), by_name);
    return found == settings.end() ? "configuration" : found->place.text();
  });
  (void)std::printf("[limits]\n");
  print_options(app, origins, true);
  if (configuration != nullptr) print_users(*configuration);
  (void)std::printf("\n[%s]\n", name.c_str());
  print_options(app, origins, false);
  if (configuration == nullptr) return 0;
  for (std::size_t place = 0; place < configuration->rules.size(); ++place) {
    (void)std::printf(
        "\n[[rule]] # %zu: %s\n%s", place + 1, configuration->rule_places[place].text().c_str(),
        config::rule_text(configuration->rules[place], configuration->rule_names[place]).c_str());
  }
  return 0;
}

}  // namespace shmvisor
