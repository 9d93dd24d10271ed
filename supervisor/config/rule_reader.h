// Reads one [[rule]] of a configuration.
//
// Thread rule: a pure function.
#pragma once

#include "policy/rules/rule.h"
#include "supervisor/config/accounts.h"
#include "supervisor/config/config_problem.h"
#include "supervisor/config/rule_text.h"
#include "supervisor/config/toml_document.h"

namespace shmvisor::config {

/// `table`: of the rule. What is wrong is added to `problems`; the rule is then of no use.
[[nodiscard]] Rule read_rule(const TomlValue& table, const Accounts& accounts, RuleNames& names,
                             Problems& problems);

}  // namespace shmvisor::config
