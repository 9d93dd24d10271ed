// A rule as a configuration file has it.
//
// Thread rule: a pure function.
#pragma once

#include <string>

#include "policy/rules/rule.h"

namespace shmvisor::config {

/// The lines below "[[rule]]", each with its newline. What is read from them is the same rule.
[[nodiscard]] std::string rule_text(const Rule& rule);

}  // namespace shmvisor::config
