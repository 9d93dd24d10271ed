// EveryOption: options of `run` and `agent` that belong to nobody's command line, to try values
// with.
//
// Thread rule: one thread each.
#pragma once

#include <CLI/CLI.hpp>

#include "supervisor/cli/agent_subcommand.h"
#include "supervisor/cli/run_subcommand.h"

namespace shmvisor {

struct EveryOption {
  CLI::App parent{"", "shmvisor"};
  RunSubcommand run{parent};
  AgentSubcommand agent{parent};
};

}  // namespace shmvisor
