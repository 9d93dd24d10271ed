// `shmvisor run [OPTIONS] [--] COMMAND [ARG...]`
#pragma once

#include "supervisor/cli/config_option.h"
#include "supervisor/cli/subcommand.h"
#include "supervisor/launch/run.h"

namespace shmvisor {

class RunSubcommand : public Subcommand {
 public:
  explicit RunSubcommand(CLI::App& parent);

  /// Takes the command, which begins at the first word that is no option of ours, or after "--".
  /// CLI11 would look for options in the command too.
  void take_words(std::vector<std::string>& words) override;
  void read_configuration() override { config_.apply(); }
  [[nodiscard]] std::shared_ptr<const config::Configuration> configuration() const override {
    return config_.configuration();
  }

 private:
  int run(KernelFeatures& features) override;
  void add_memory_options();
  void add_outputs();
  void add_saved_files();
  void add_sharing(CLI::Option* no_linger);
  void add_process_options();
  void add_surroundings();
  [[nodiscard]] std::size_t command_position(const std::vector<std::string>& words) const;

  ConfigOption config_;
  RunOptions options_;
  bool no_linger_ = false;
  bool no_kill_ = false;
  std::string trace_;
  std::string report_;
};

}  // namespace shmvisor
