// A rule as a configuration file has it.
//
// Thread rule: a pure function.
#pragma once

#include <string>
#include <vector>

#include "policy/rules/rule.h"

namespace shmvisor::config {

/// The users and groups that a rule names: one for each of its ranges, empty for a number.
struct RuleNames {
  std::vector<std::string> users;
  std::vector<std::string> groups;
};

/// The lines below "[[rule]]", each with its newline. What is read from them is the same rule; a
/// name has its number in a comment.
[[nodiscard]] std::string rule_text(const Rule& rule, const RuleNames& names = {});

}  // namespace shmvisor::config
