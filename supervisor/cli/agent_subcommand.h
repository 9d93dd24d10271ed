// `shmvisor agent [--socket PATH] [LIMITS]`
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "policy/oci/listener_path.h"
#include "supervisor/agent/agent.h"
#include "supervisor/cli/audit_options.h"
#include "supervisor/cli/cleanup_option.h"
#include "supervisor/cli/config_option.h"
#include "supervisor/cli/control_options.h"
#include "supervisor/cli/keeper_options.h"
#include "supervisor/cli/limit_options.h"
#include "supervisor/cli/subcommand.h"
#include "supervisor/control/control_place.h"
#include "supervisor/log/process_log.h"

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
        ->check(check_path)
        ->default_str(std::string(kDefaultListenerPath))
        ->type_name("PATH");
    add_limit_options(app(), options_.limits);
    app()
        .add_option("--serve-group", groups_,
                    "Let commands of the host join this group of containers, by run --join "
                    "name:GROUP; GROUP=PATH: at PATH; may be repeated")
        ->allow_extra_args(false)
        ->check(check_group)
        ->type_name("GROUP");
    add_cleanup_option(app(), options_.cleanup);
    add_keeper_options(app(), options_.keeper, options_.keeper_deaths);
    add_control_options(app(), options_.control);
    add_audit_options(app(), options_.audit);
  }

  void read_configuration() override { config_.apply(); }
  [[nodiscard]] std::shared_ptr<const config::Configuration> configuration() const override {
    return config_.configuration();
  }
  /// Those that groups listen at.
  [[nodiscard]] std::vector<NamedFile> more_files() const override {
    const CLI::Option* const option = app().get_option("--serve-group");
    std::vector<NamedFile> files;
    for (const std::string& text : option->results()) {
      files.push_back({option, control::join_place_as_is(split(text).place)});
    }
    return files;
  }

 private:
  struct GroupText {
    std::string group;
    std::string place;  ///< as control::join_place() takes it
  };
  /// Of GROUP[=PATH].
  static GroupText split(const std::string& text) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) return {text, "name:" + text};
    return {text.substr(0, equals), text.substr(equals + 1)};
  }

  /// What is wrong with GROUP[=PATH]; empty where nothing is.
  static std::string check_group(const std::string& text) {
    const GroupText wanted = split(text);
    if (text.empty() || wanted.place.empty()) return "the path is empty";
    return control::check_name(wanted.group);
  }

  /// Precondition: check_group().
  static GroupSocket socket_of(const std::string& text) {
    GroupText wanted = split(text);
    auto place = control::join_place(wanted.place);
    if (!place) throw CLI::ValidationError("--serve-group", place.error().text);
    return {std::move(wanted.group), std::move(*place)};
  }

  int run(KernelFeatures& features) override {
    for (const std::string& group : groups_) {
      GroupSocket socket = socket_of(group);
      for (const GroupSocket& other : options_.open_groups) {
        if (other.path != socket.path) continue;
        throw CLI::ValidationError("--serve-group",
                                   "two groups are to be served at '" + socket.path + "'");
      }
      options_.open_groups.push_back(std::move(socket));
    }
    // A keeper is cloned, and has no thread.
    if (options_.keeper) let_process_log_have_thread(false);
    config_.warn();
    options_.steering = config_.steering();
    options_.read_again = config_.reader();
    return run_agent(options_, features);
  }

  ConfigOption config_;
  AgentOptions options_;
  std::vector<std::string> groups_;
};

}  // namespace shmvisor
