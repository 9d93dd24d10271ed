// ConfigReload: reads a configuration again, and says what changes by it: limits and rules at once,
// options after a restart.
//
// Thread rule: any thread; copies share what was read last.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "policy/base/mutex.h"
#include "supervisor/config/configuration.h"
#include "supervisor/session/steering.h"

namespace shmvisor {

/// Rules and limits of users.
[[nodiscard]] Steering steering_of(const config::Configuration& configuration);

class ConfigReload {
 public:
  /// `settled`: options that the command line or the environment decides. `first`: the
  /// configuration that the options were taken from.
  ConfigReload(std::string path, std::string table, std::set<std::string> settled,
               std::shared_ptr<const config::Configuration> first);

  SteeringUpdate operator()() const;

 private:
  struct Last {
    Mutex mutex;
    std::shared_ptr<const config::Configuration> read GUARDED_BY(mutex);
  };

  /// Limits that the file sets, and the default of those that it set before.
  [[nodiscard]] LimitSettings limits_of(const config::Configuration& now,
                                        const config::Configuration& before) const;
  [[nodiscard]] std::vector<std::string> changed_options(const config::Configuration& now) const;

  const std::string path_;
  const std::string table_;
  const std::set<std::string> settled_;
  const std::shared_ptr<const config::Configuration> first_;
  const std::shared_ptr<Last> last_ = std::make_shared<Last>();
};

}  // namespace shmvisor
