// ContainerScope: the processes of one container, which are no descendants of ours.
//
// These are the processes in its cgroup or in a cgroup below. A container without a cgroup of its
// own has those in its pid namespace or in one below; a container with neither has all processes.
// To look at too many processes costs time and nothing else: a segment is recognised by its file.
//
// Thread rule: any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "policy/base/mutex.h"
#include "supervisor/scope/control_group.h"
#include "supervisor/scope/process_scope.h"

namespace shmvisor {

class ContainerScope : public ProcessScope {
 public:
  /// Adds the container of the process `pid`, which must be alive. A container is added only once.
  void add_container_of(pid_t pid);

  [[nodiscard]] Result<std::vector<pid_t>> processes() const override;

 private:
  mutable Mutex mutex_;
  std::vector<ControlGroup> control_groups_ GUARDED_BY(mutex_);
  std::vector<std::uint64_t> pid_namespaces_ GUARDED_BY(mutex_);
  bool everybody_ GUARDED_BY(mutex_) = false;
};

}  // namespace shmvisor
