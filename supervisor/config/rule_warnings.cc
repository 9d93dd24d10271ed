#include "supervisor/config/rule_warnings.h"

#include <string>

#include "policy/rules/rule_reach.h"

namespace shmvisor::config {

Problems warn_of_rules(const Configuration& configuration) {
  const auto shadowed = find_shadowed(configuration.rules);
  Problems warnings;
  for (const auto& [rule, earlier] : shadowed) {
    const Place& place = configuration.rule_places[rule];
    if (warnings.size() == kMostProblems) {
      const std::size_t more = shadowed.size() - warnings.size();
      warnings.push_back({place, std::to_string(more) + (more == 1 ? " more rule" : " more rules") +
                                     " can never match either, from here on"});
      break;
    }
    warnings.push_back({place, "rule " + std::to_string(rule + 1) + " can never match: rule " +
                                   std::to_string(earlier + 1) + " (" +
                                   configuration.rule_places[earlier].text() +
                                   ") decides all its calls"});
  }
  return warnings;
}

}  // namespace shmvisor::config
