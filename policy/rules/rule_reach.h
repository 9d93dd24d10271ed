// Which calls a rule can decide at all: none where its conditions contradict each other, or where
// an earlier rule decides all of them.
//
// What is found is true; not all is found. Two earlier rules that decide all calls of a third only
// together are not seen, nor what lies beyond a bound of work.
//
// Thread rule: pure functions.
#pragma once

#include <cstddef>
#include <vector>

#include "policy/rules/rule.h"

namespace shmvisor {

/// Whether none of the calls ever has a key and a size: IPC_INFO and SHM_INFO name no segment.
[[nodiscard]] bool name_no_segment(RuledCalls calls);

/// Rules, by their index: `rule` decides no call, since `earlier` decides all that it matches.
struct ShadowedRule {
  std::size_t rule = 0;
  std::size_t earlier = 0;

  friend bool operator==(const ShadowedRule&, const ShadowedRule&) = default;
};

/// In the order of the rules, each with the first that stands in its way.
[[nodiscard]] std::vector<ShadowedRule> find_shadowed(const std::vector<Rule>& rules);

}  // namespace shmvisor
