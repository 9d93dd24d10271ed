// `shmvisor run [OPTIONS] [--] COMMAND [ARG...]`
#pragma once

#include "supervisor/cli/subcommand.h"
#include "supervisor/launch/run.h"

namespace shmvisor {

class RunSubcommand : public Subcommand {
 public:
  explicit RunSubcommand(CLI::App& parent);

  /// Takes the command, which begins at the first word that is no option of ours, or after "--".
  /// CLI11 would look for options in the command too.
  void take_words(std::vector<std::string>& words) override;

 private:
  int run(KernelFeatures& features) override;
  [[nodiscard]] std::size_t command_position(const std::vector<std::string>& words) const;

  RunOptions options_;
  bool no_linger_ = false;
  bool no_kill_ = false;
};

}  // namespace shmvisor
