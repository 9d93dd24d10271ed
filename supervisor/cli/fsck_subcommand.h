// `shmvisor fsck FILE`
#pragma once

#include <cstdio>
#include <string>

#include "supervisor/cli/client_subcommands.h"
#include "supervisor/cli/subcommand.h"
#include "supervisor/client/saved_files.h"

namespace shmvisor {

class FsckSubcommand : public Subcommand {
 public:
  explicit FsckSubcommand(CLI::App& parent)
      : Subcommand(parent, "fsck", "Show a file of 'shmvisor save', and whether it is whole",
                   {.examples = "shmvisor fsck segments.saved\n"
                                "shmvisor fsck --json segments.saved"}) {
    app().group(kLookGroup);
    app()
        .add_option("FILE", path_, "The file")
        ->check(check_path)
        ->required()
        ->type_name("FILE")
        ->group("Which");
    app().add_flag("--json", json_, "Print JSON");
  }

 private:
  int run(KernelFeatures& /*features*/) override {
    const auto shown = client::show_saved_file(path_, json_);
    if (shown) return 0;
    (void)std::fflush(stdout);
    return say_failed(shown.error().text);
  }

  std::string path_;
  bool json_ = false;
};

}  // namespace shmvisor
