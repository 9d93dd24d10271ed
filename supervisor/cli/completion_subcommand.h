// `shmvisor completion bash|zsh`
#pragma once

#include <iostream>
#include <string>

#include "supervisor/cli/completion.h"
#include "supervisor/cli/subcommand.h"

namespace shmvisor {

class CompletionSubcommand : public Subcommand {
 public:
  /// `parent` must have all subcommands when this is executed.
  explicit CompletionSubcommand(CLI::App& parent)
      : Subcommand(parent, "completion", "Print the completion of this command line for a shell",
                   {.examples = "eval \"$(shmvisor completion bash)\"\n"
                                "shmvisor completion zsh >/usr/local/share/zsh/site-functions/"
                                "_shmvisor"}),
        all_(parent) {
    app().group("Start");
    hide_log_options();
    app()
        .add_option("SHELL", shell_, "bash or zsh")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh"}))
        ->group("Which");
  }

 private:
  int run(KernelFeatures& /*features*/) override {
    std::cout << (shell_ == "bash" ? bash_completion(all_) : zsh_completion(all_));
    return 0;
  }

  const CLI::App& all_;
  std::string shell_;
};

}  // namespace shmvisor
