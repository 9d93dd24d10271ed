// `shmvisor config check FILE` and `shmvisor config show [run|agent] [OPTION...]`
#pragma once

#include <string>
#include <vector>

#include "supervisor/cli/subcommand.h"

namespace shmvisor {

class ConfigSubcommand : public Subcommand {
 public:
  explicit ConfigSubcommand(CLI::App& parent);

  /// Takes the words behind "show", which are a subcommand's.
  void take_words(std::vector<std::string>& words) override;

 private:
  int run(KernelFeatures& features) override;
  [[nodiscard]] int check() const;
  [[nodiscard]] int show() const;

  std::string what_;
  std::string file_;
  std::vector<std::string> shown_words_;
};

}  // namespace shmvisor
