// Containers: all containers that the agent serves, by id and by group. All that is known of them
// is here.
//
// Ownership: borrows `features`. Thread rule: one thread. It may be destroyed once drain() has
// succeeded, as ServerPool.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "policy/base/unique_fd.h"
#include "policy/container_metadata.h"
#include "supervisor/agent/container.h"
#include "supervisor/agent/container_process.h"
#include "supervisor/memory/machine.h"
#include "supervisor/resources/descriptor_share.h"
#include "supervisor/serve/server_pool.h"
#include "supervisor/tasks/background_task.h"

namespace shmvisor {

class Containers {
 public:
  /// `limits`: of a container whose metadata sets none.
  Containers(KernelFeatures& features, const Limits& limits);

  /// Serves the process from now on; or says in one clause why not.
  std::optional<std::string> serve(const ContainerProcess& process, UniqueFd listener);

  /// Readable when turn() has something to do; the second is -1 where there is none.
  [[nodiscard]] int pool_fd() const { return pool_.fd(); }
  [[nodiscard]] int release_fd() const { return resources_.release_events.fd(); }
  /// After how long turn() has something to do all the same, for poll(2).
  [[nodiscard]] int timeout_ms() const;
  void turn();

  /// Containers that are served.
  [[nodiscard]] std::size_t count() const { return count_; }
  /// See ServerPool.
  bool drain(std::chrono::milliseconds bound);

 private:
  [[nodiscard]] std::shared_ptr<Container> find(const ContainerProcess& process) const;
  std::shared_ptr<Container> make(const std::string& id, const ContainerMetadata& metadata);
  std::shared_ptr<ContainerGroup> group_of(const ContainerMetadata& metadata);
  void forget(const Container& container);
  void look_after_groups();

  KernelFeatures& features_;
  const ContainerMetadata defaults_;
  MachineResources resources_;
  const DescriptorPlan plan_;
  DescriptorPool descriptors_;
  ServingBudget budget_;
  std::uint32_t groups_made_ = 0;
  std::size_t count_ = 0;
  /// Those that are not over. Two have one id where it was given away too early; the later is
  /// behind.
  std::multimap<std::string, std::shared_ptr<Container>> by_id_;
  std::unordered_map<std::string, std::shared_ptr<ContainerGroup>> by_name_;
  /// All that a server may need yet.
  std::unordered_map<ContainerGroup*, std::weak_ptr<ContainerGroup>> groups_;
  bool some_need_looking_after_ = false;
  std::chrono::steady_clock::time_point next_look_;
  /// A thread that looks after those in looked_after_, so that a container that makes it long keeps
  /// nobody else waiting.
  BackgroundTask looking_;
  std::vector<std::shared_ptr<ContainerGroup>> looked_after_;
  /// Last, because its servers use all of the above.
  ServerPool pool_;
};

}  // namespace shmvisor
