// ControlGroup: a cgroup that a process was put into, cgroups(7), as the folder that lists who is
// in it.
//
// Version 1, version 2 and both together (hybrid) are understood: of the hierarchies that the
// process is in, one is taken in which its cgroup is not ours or above ours, since a container
// runtime makes a cgroup of the container's own in every hierarchy that it uses.
//
// Thread rule: a plain value.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "policy/base/result.h"

namespace shmvisor {

class ControlGroup {
 public:
  /// Nothing where the process has no cgroup of its own, where it is not to be seen in our mount
  /// namespace, or where the process is gone.
  static std::optional<ControlGroup> of(pid_t pid);

  /// The one whose memory limits, and those of the ones above it, hold for the process; shared with
  /// others or not. Nothing where it is not to be seen in our mount namespace.
  static std::optional<ControlGroup> limiting_memory_of(pid_t pid);

  /// Its folder in some cgroup file system.
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] bool contains(const ControlGroup& other) const;
  /// Appends who is in it or in one below. Nobody where it no longer exists. Errors: EMFILE, ENFILE
  /// and ENOMEM.
  Result<void> append_processes(std::vector<pid_t>& pids) const;

 private:
  explicit ControlGroup(std::string path) : path_(std::move(path)) {}

  std::string path_;
};

}  // namespace shmvisor
