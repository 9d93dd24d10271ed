// ControlGroup: a cgroup that a process was put into, cgroups(7), as the folder that lists its
// processes.
//
// Version 1, version 2 and both together (hybrid) are supported. A container runtime makes a cgroup
// for the container in every hierarchy that it uses. So of the process's hierarchies one is taken
// in which its cgroup is neither ours nor above ours.
//
// Thread rule: a plain value.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "policy/base/result.h"

namespace shmvisor {

class ControlGroup {
 public:
  /// Nothing where the process has no cgroup of its own or is gone, or where our mount namespace
  /// does not show the cgroup.
  static std::optional<ControlGroup> of(pid_t pid);

  /// The one of that path(), which need not be there any more.
  static ControlGroup at(std::string path) { return ControlGroup(std::move(path)); }

  /// The cgroup whose memory limits, with those of the cgroups above, hold for the process; other
  /// processes may share it. Nothing where our mount namespace does not show the cgroup.
  static std::optional<ControlGroup> limiting_memory_of(pid_t pid);

  /// The cgroup's folder in a cgroup file system.
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] bool contains(const ControlGroup& other) const;
  /// Appends the processes in this cgroup and in those below; none where it no longer exists.
  /// Errors: EMFILE, ENFILE and ENOMEM.
  Result<void> append_processes(std::vector<pid_t>& pids) const;

 private:
  explicit ControlGroup(std::string path) : path_(std::move(path)) {}

  std::string path_;
};

}  // namespace shmvisor
