// The text of the configuration that a keeper's program goes by. It is kept with what another
// program takes over (KeptStore): what that program was checked with is what it begins with,
// whatever becomes of the files meanwhile; and a program that goes on after all has its own again.
//
// Thread rule: the main thread, while it is the only one. Reading may wait for a disk.
#pragma once

#include <string>
#include <vector>

#include "supervisor/config/config_files.h"

namespace shmvisor {

/// The files at `path`, or what another program left of them.
[[nodiscard]] std::vector<config::FileText> configuration_to_use(const std::string& path);
/// What this program goes by.
void keep_configuration(const std::vector<config::FileText>& files);

/// In the child that another program is to be checked in: keeps what the files say now. A line
/// where they cannot be read.
[[nodiscard]] Result<void, std::string> read_configuration_anew();
/// What that child kept.
[[nodiscard]] std::string configuration_in(const UniqueFd& handover);

/// While this exists the next program's is `text`, and ours what it goes back to.
class NextConfiguration {
 public:
  explicit NextConfiguration(std::string text);
  NextConfiguration(const NextConfiguration&) = delete;
  NextConfiguration& operator=(const NextConfiguration&) = delete;
  ~NextConfiguration();

 private:
  const std::string ours_;
};

}  // namespace shmvisor
