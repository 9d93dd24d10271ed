// `shmvisor oci-profile [--arch ARCH,...] [--flags FLAG,...] [--listener PATH] [--metadata STRING]
// [--merge FILE]`
#pragma once

#include <string>

#include "policy/oci/shm_profile.h"
#include "supervisor/cli/subcommand.h"

namespace shmvisor {

class OciProfileSubcommand : public Subcommand {
 public:
  explicit OciProfileSubcommand(CLI::App& parent);

 private:
  int run(KernelFeatures& features) override;

  ShmProfile wanted_;
  std::string merge_path_;  ///< "-": standard input; empty: nothing to merge into
};

}  // namespace shmvisor
