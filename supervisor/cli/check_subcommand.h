// `shmvisor check`
#pragma once

#include <iostream>

#include "supervisor/check/check.h"
#include "supervisor/cli/subcommand.h"
#include "supervisor/launch/exit_status.h"

namespace shmvisor {

class CheckSubcommand : public Subcommand {
 public:
  explicit CheckSubcommand(CLI::App& parent)
      : Subcommand(parent, "check", "See what this machine has for shmvisor",
                   {.examples = "shmvisor check\nshmvisor check --without kcmp"}) {
    app().group("Start");
  }

 private:
  int run(KernelFeatures& features) override {
    return run_check(std::cout, features) ? 0 : exit_status::kOwnFailure;
  }
};

}  // namespace shmvisor
