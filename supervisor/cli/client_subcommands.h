// `shmvisor ls`, `stat`, `limits`, `ps`, `maps`, `graph`, `trace` and `events`: clients of a run's
// control socket.
//
// Each finds its run, asks, and prints. Exit status 1 where there is no such run, or it refuses,
// with a sentence on standard error.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "supervisor/cli/subcommand.h"
#include "supervisor/client/run_finder.h"
#include "supervisor/client/show.h"

namespace shmvisor {

/// As of grep(1), diff(1) and podman(1): it ran, and did not find what it was to.
inline constexpr int kClientFailed = 1;
/// Says the problem as main() says what is wrong with options: a client has no log. Answers
/// kClientFailed.
int say_failed(const std::string& problem);
/// The title in the list of subcommands.
inline constexpr const char* kLookGroup = "Look inside";

class ClientSubcommand : public Subcommand {
 public:
  using Show = Result<void, client::Problem> (*)(client::RunConnection&,
                                                 const client::ShowOptions&);

  /// `group`: the title over it in the list of subcommands.
  ClientSubcommand(CLI::App& parent, const std::string& name, const std::string& description,
                   const char* group, const HelpText& help, Show show);

  // Options that not all have:

  void add_registry_option();
  void add_quiet_flag(const std::string& description);
  void add_all_flag(const std::string& description);
  void add_svg_flag();
  void add_output_option();
  /// The file that it writes, which is no option.
  void add_file();
  void add_delay_option();
  void add_listen_option(const std::string& by_default);
  void add_selection();
  void add_load_options();
  void add_detach_options();
  /// For what prints no text.
  void remove_json_flag() { app().remove_option(app().get_option("--json")); }
  void add_new_limits();
  void add_program_option();
  void add_number(const std::string& name, const std::string& description, bool required);

 private:
  int run(KernelFeatures& features) override;
  CLI::Option* add_key(CLI::App& to, const char* description);
  void add_connected_option();

  const Show show_;
  client::RunChoice choice_;
  client::ShowOptions options_;
  int connected_ = -1;  ///< a descriptor of a socket that a run handed over
};

/// All of them.
std::vector<std::unique_ptr<Subcommand>> make_client_subcommands(CLI::App& parent);

}  // namespace shmvisor
