// ContainerScope: the processes of one container, which are no descendants of ours.
//
// These are the processes in its cgroup or in a cgroup below. A container without a cgroup of its
// own has those in its pid namespace or in one below; a container with neither has all processes.
// To look at too many processes costs time and nothing else: a segment is recognised by its file.
//
// Thread rule: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "policy/base/mutex.h"
#include "supervisor/scope/control_group.h"
#include "supervisor/scope/process_scope.h"

namespace shmvisor {

class ContainerScope : public ProcessScope {
 public:
  /// What tells processes of the container from others: exactly one of these.
  struct Part {
    std::string control_group;  ///< ControlGroup::path()
    std::uint64_t pid_namespace = 0;
    bool everybody = false;
  };
  /// Adds the container of the process `pid`, which must be alive. Nothing where it is there
  /// already.
  std::optional<Part> add_container_of(pid_t pid);
  /// Whether it was not there yet.
  bool add(const Part& part);

  [[nodiscard]] Result<std::vector<pid_t>> processes() const override;
  /// Not where it has all processes.
  [[nodiscard]] bool is_exact() const override;

 private:
  mutable Mutex mutex_;
  std::vector<ControlGroup> control_groups_ GUARDED_BY(mutex_);
  std::vector<std::uint64_t> pid_namespaces_ GUARDED_BY(mutex_);
  bool everybody_ GUARDED_BY(mutex_) = false;
};

}  // namespace shmvisor
