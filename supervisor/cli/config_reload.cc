#include "supervisor/cli/config_reload.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "supervisor/cli/config_option.h"
#include "supervisor/config/rule_warnings.h"

namespace shmvisor {
namespace {

const config::OptionSetting* find(const config::OptionSettings& settings, const std::string& name) {
  const auto found = std::find_if(settings.begin(), settings.end(),
                                  [&name](const auto& one) { return one.name == name; });
  return found == settings.end() ? nullptr : &*found;
}

/// What one of the limits becomes; nothing where it stays. `parse` knows the text, which was tried.
template <typename Number, typename Parse>
std::optional<Number> limit_now(const config::OptionSetting* now,
                                const config::OptionSetting* before, Number by_default,
                                Parse parse) {
  if (now != nullptr) {
    const auto number = parse(now->values.front());
    return number ? std::optional<Number>(*number) : std::nullopt;
  }
  return before != nullptr ? std::optional<Number>(by_default) : std::nullopt;
}

}  // namespace

Steering steering_of(const config::Configuration& configuration) {
  Steering steering;
  if (configuration.user_limits.sets_any()) {
    steering.user_limits = std::make_shared<const UserLimits>(configuration.user_limits);
  }
  if (!configuration.rules.empty()) {
    steering.rules = std::make_shared<RuleSet>(configuration.rules);
  }
  return steering;
}

ConfigReload::ConfigReload(std::string path, std::string table, std::set<std::string> settled,
                           std::shared_ptr<const config::Configuration> first)
    : path_(std::move(path)),
      table_(std::move(table)),
      settled_(std::move(settled)),
      first_(std::move(first)) {
  const MutexLock lock(last_->mutex);
  last_->read = first_;
}

LimitSettings ConfigReload::limits_of(const config::Configuration& now,
                                      const config::Configuration& before) const {
  const auto of = [&](const char* name, auto by_default, auto parse) {
    if (settled_.contains(name)) return std::optional<decltype(by_default)>();
    return limit_now(find(now.limits, name), find(before.limits, name), by_default, parse);
  };
  const Limits defaults;
  LimitSettings settings;
  settings.shmmax = of("shmmax", defaults.shmmax, parse_size);
  settings.shmall = of("shmall", defaults.shmall, parse_size);
  settings.shmmni = of("shmmni", defaults.shmmni, parse_shmmni);
  return settings;
}

std::vector<std::string> ConfigReload::changed_options(const config::Configuration& now) const {
  std::set<std::string> names;
  const auto compare = [&](const config::OptionSettings& some,
                           const config::OptionSettings& other) {
    for (const config::OptionSetting& one : some) {
      const config::OptionSetting* const twin = find(other, one.name);
      const bool same = twin != nullptr && *twin == one;
      if (!same && !settled_.contains(one.name)) names.insert(one.name);
    }
  };
  const bool is_agent = table_ == "agent";
  const config::OptionSettings& then_set = is_agent ? first_->agent : first_->run;
  const config::OptionSettings& now_set = is_agent ? now.agent : now.run;
  compare(then_set, now_set);
  compare(now_set, then_set);
  return {names.begin(), names.end()};
}

SteeringUpdate ConfigReload::operator()() const {
  SteeringUpdate update;
  auto read = read_and_check(config::read_files(path_));
  if (!read) {
    for (const config::Problem& problem : read.error()) update.problems.push_back(problem.line());
    return update;
  }
  auto now = std::make_shared<const config::Configuration>(std::move(*read));
  update.steering = steering_of(*now);
  update.need_restart = changed_options(*now);
  for (const config::Problem& warning : warn_of_rules(*now)) {
    update.warnings.push_back(warning.line());
  }
  {
    const MutexLock lock(last_->mutex);
    update.steering.limits = limits_of(*now, *last_->read);
    last_->read = now;
  }
  spdlog::info("the configuration {} was read again: {} rules", path_, now->rules.size());
  for (const std::string& name : update.need_restart) {
    spdlog::warn("{}: {} has changed, and needs a restart", path_, name);
  }
  for (const std::string& warning : update.warnings) spdlog::warn("{}", warning);
  return update;
}

}  // namespace shmvisor
