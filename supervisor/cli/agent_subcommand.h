// `shmvisor agent [--socket PATH] [LIMITS]`
#pragma once

#include "supervisor/agent/agent.h"
#include "supervisor/cli/limit_options.h"
#include "supervisor/cli/subcommand.h"

namespace shmvisor {

class AgentSubcommand : public Subcommand {
 public:
  explicit AgentSubcommand(CLI::App& parent)
      : Subcommand(parent, "agent", "Serve containers whose seccomp profile names a listenerPath") {
    app()
        .add_option("--socket", options_.socket,
                    "Where runtimes connect: the listenerPath; made here unless a service manager "
                    "hands it over")
        ->type_name("PATH");
    add_limit_options(app(), options_.limits);
  }

 private:
  int run(KernelFeatures& features) override { return run_agent(options_, features); }

  AgentOptions options_;
};

}  // namespace shmvisor
