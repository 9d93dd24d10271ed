// `shmvisor agent [--socket PATH] [LIMITS]`
#pragma once

#include "policy/oci/listener_path.h"
#include "supervisor/agent/agent.h"
#include "supervisor/cli/config_option.h"
#include "supervisor/cli/control_options.h"
#include "supervisor/cli/limit_options.h"
#include "supervisor/cli/subcommand.h"

namespace shmvisor {

class AgentSubcommand : public Subcommand {
 public:
  explicit AgentSubcommand(CLI::App& parent)
      : Subcommand(parent, "agent", "Serve containers that have a profile of oci-profile",
                   {.examples = "shmvisor agent --name agent\n"
                                "shmvisor agent --socket /run/shm.sock --shmmax 64M --shmmni 100\n"
                                "shmvisor ls --name agent"}),
        config_(app(), name()) {
    app().group("Containers");
    app()
        .add_option("--socket", options_.socket,
                    "Where runtimes connect: the profile's listenerPath. Default: the socket that "
                    "a service manager hands over, or " +
                        std::string(kDefaultListenerPath))
        ->type_name("PATH");
    add_limit_options(app(), options_.limits);
    add_control_options(app(), options_.control);
  }

  void read_configuration() override { config_.apply(); }
  [[nodiscard]] std::shared_ptr<const config::Configuration> configuration() const override {
    return config_.configuration();
  }

 private:
  int run(KernelFeatures& features) override {
    options_.steering = config_.steering();
    options_.read_again = config_.reader();
    return run_agent(options_, features);
  }

  ConfigOption config_;
  AgentOptions options_;
};

}  // namespace shmvisor
