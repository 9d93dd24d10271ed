// --keeper of `run` and `agent`: whether another server goes on when one dies.
//
// Thread rule: the main thread.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace shmvisor {

/// `deaths`: how many within a minute are too many. `group`: of the help; empty: the first one.
inline void add_keeper_options(CLI::App& app, bool& keeper, int& deaths,
                               const std::string& group = "") {
  CLI::Option* const option =
      app.add_flag("--keeper", keeper, "Go on when the process that serves is killed");
  if (!group.empty()) option->group(group);
  // For tests, which kill it more often.
  app.add_option("--keeper-deaths", deaths,
                 "How many deaths in a minute are too many; 5 by default")
      ->check(CLI::Range(1, 1000000))
      ->type_name("COUNT")
      ->group("");
}

}  // namespace shmvisor
