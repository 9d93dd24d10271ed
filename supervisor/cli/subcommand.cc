#include "supervisor/cli/subcommand.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "supervisor/cli/environment.h"
#include "supervisor/cli/option_list.h"
#include "supervisor/config/nearest.h"
#include "supervisor/log/limited_log.h"
#include "supervisor/log/process_log.h"

namespace shmvisor {
namespace {

constexpr std::string_view kVariables =
    "An option --some-name is also taken from the environment: SHMVISOR_SOME_NAME.";

void warn_of_misspelt(const std::vector<std::string>& strange,
                      const std::vector<std::string>& known) {
  for (const std::string& name : strange) {
    if (std::ranges::find(known, name) != known.end()) continue;
    // Others may have variables of their own with this beginning.
    const std::string nearest = nearest_variable(name, known);
    if (nearest.empty()) continue;
    spdlog::warn("{} in the environment is no option's; did you mean {}?", name, nearest);
  }
}

/// Written before the end, also by an exception.
class LastLines {
 public:
  LastLines() = default;
  LastLines(const LastLines&) = delete;
  LastLines& operator=(const LastLines&) = delete;
  ~LastLines() { flush_process_log(); }
};

}  // namespace

Subcommand::Subcommand(CLI::App& parent, const std::string& name, const std::string& description,
                       HelpText help)
    : name_(name), app_(*parent.add_subcommand(name, description)) {
  if (help.notes.empty()) help.notes = kVariables;
  app_.formatter(std::make_shared<HelpFormatter>(help));
  app_.get_help_ptr()->description("Print this")->group(kCommonGroup);
  app_.add_flag("-v,--verbose", verbosity_, "Log more; repeat for more")->group(kCommonGroup);
  app_.add_option("--log-level", log_level_, "What to log on standard error; warning by default")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "critical", "off"}))
      ->default_str(log_level_)
      ->type_name("LEVEL")
      ->group(kCommonGroup);
  app_.add_option("--without", without_, "Do without a kernel feature that 'shmvisor check' names")
      ->delimiter(',')
      ->check([](const std::string& feature) {
        if (KernelFeatures::by_name(feature)) return std::string();
        std::vector<std::string> names;
        for (std::size_t one = 0; one < static_cast<std::size_t>(KernelFeature::kCount); ++one) {
          names.emplace_back(KernelFeatures::name(static_cast<KernelFeature>(one)));
        }
        return "no feature is called '" + feature + "'" +
               did_you_mean(nearest_word(feature, names));
      })
      ->type_name("FEATURE")
      ->group(kCommonGroup);
}

void Subcommand::hide_log_options() {
  // A value that another version may know keeps nobody from looking.
  for (const char* const name : {"--verbose", "--log-level", "--without"}) {
    app_.remove_option(app_.get_option(name));
  }
  for (CLI::Option* const option :
       {app_.add_flag("-v,--verbose", unused_), app_.add_option("--log-level", unused_),
        app_.add_option("--without", unused_)}) {
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)->group("");
  }
  // Alone it needs no title of its own.
  app_.get_help_ptr()->group("Options");
}

void Subcommand::refuse_empty_values(const std::vector<std::string>& words) const {
  for (const std::string& word : words) {
    if (word == "--") break;
    if (!word.starts_with("--") || word.find('=') + 1 != word.size()) continue;
    const std::string name = word.substr(0, word.size() - 1);
    const CLI::Option* const option = app_.get_option_no_throw(name);
    if (option == nullptr) continue;
    throw CLI::ValidationError(name, "the value is empty");
  }
}

std::string Subcommand::name_of(const CLI::Option& option) const {
  const std::string name = main_name(option);
  const bool has_variable = !option.get_lnames().empty();
  if (given_.contains(name) || !has_variable) return name;
  const char* const variable = std::getenv(variable_of(option).c_str());
  if (variable != nullptr && *variable != '\0') return variable_of(option);
  const auto read = configuration();
  if (read == nullptr) return name;
  for (const config::OptionSetting& setting : read->options_of(name_)) {
    if ("--" + setting.name == name) return setting.name + " (" + setting.place.text() + ")";
  }
  return name;
}

void Subcommand::complete_options(const std::function<void()>& environment_is_read) {
  note_given();
  read_environment(app_);
  if (environment_is_read) environment_is_read();
  read_configuration();
  const NameOf name = [this](const CLI::Option& option) { return name_of(option); };
  refuse_useless(app_, given_, name);
  const auto shared = find_shared_file(app_, more_files());
  if (shared) {
    throw CLI::ValidationError(name_of(*shared->file.option), sentence_about(*shared, name));
  }
}

int Subcommand::execute(const std::function<std::vector<std::string>()>& variables) {
  complete_options();
  KernelFeatures features;
  set_up_log();
  const LastLines last_lines;
  if (const auto strange = unknown_variables(app_); !strange.empty()) {
    warn_of_misspelt(strange, variables());
  }
  switch_off(features);
  const int status = run(features);
  tell_of_lines_left_out();
  return status;
}

void Subcommand::note_given() {
  for (const CLI::Option* const option : app_.get_options()) {
    if (option->count() == 0) continue;
    given_.insert(main_name(*option));
    if (!is_flag(*option) || option->get_group().empty()) continue;
    for (const std::string& value : option->results()) check_flag(main_name(*option), value);
  }
  // An empty word comes from an unset variable of a script, and is not as good as no option: that
  // could mean another run, or all of something.
  for (const CLI::Option* const option : visible_options(app_)) {
    if (is_flag(*option) || has_optional_value(*option)) continue;
    for (const std::string& value : option->results()) {
      if (value.empty()) throw CLI::ValidationError(main_name(*option), "the value is empty");
    }
  }
}

/// Standard error, and nothing but what an operator should know.
void Subcommand::set_up_log() const {
  const auto level = static_cast<int>(spdlog::level::from_str(log_level_));
  set_up_process_log(static_cast<spdlog::level::level_enum>(
      std::max(level - verbosity_, static_cast<int>(spdlog::level::trace))));
}

void Subcommand::switch_off(KernelFeatures& features) const {
  for (const std::string& name : without_) {
    if (const auto feature = KernelFeatures::by_name(name)) features.mark_absent(*feature);
  }
}

}  // namespace shmvisor
