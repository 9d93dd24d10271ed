// Steering: what an operator may change while calls are served: limits, and rules for calls.
//
// Thread rule: a plain value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "policy/limits/limits.h"
#include "policy/limits/user_limits.h"
#include "policy/rules/rule_set.h"

namespace shmvisor {

struct Steering {
  /// The limits of each registry. A limit that is not set here is left as programs and clients have
  /// set it.
  LimitSettings limits = {};
  /// Null: users have no limits of their own.
  std::shared_ptr<const UserLimits> user_limits = {};
  /// Null: none. Made when the file is read, so that a shortage of memory then changes nothing.
  std::shared_ptr<RuleSet> rules = {};

  [[nodiscard]] std::size_t rule_count() const {
    return rules == nullptr ? 0 : rules->rules().size();
  }
};

/// What came of reading the operator's configuration again.
struct SteeringUpdate {
  /// What is wrong, one clause for each problem. If there is any problem, nothing changes.
  std::vector<std::string> problems = {};
  Steering steering = {};
  /// Options that have changed, and that only a restart puts into effect.
  std::vector<std::string> need_restart = {};
  /// Oddities of the configuration that do not keep it from being in force; a line for each.
  std::vector<std::string> warnings = {};
  /// Why the configuration could not be read at all; then there is a problem that says so.
  enum class Shortage : std::uint8_t { kNone, kMemory, kThreads };
  Shortage shortage = Shortage::kNone;
};
/// Reads the configuration. May wait for a disk, so not for a main loop. Thread rule: any thread.
using ReadSteering = std::function<SteeringUpdate()>;

}  // namespace shmvisor
