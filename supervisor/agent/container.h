// Container and ContainerGroup: who is served together, and for how long.
//
// A ContainerGroup is the registries of the containers that share them; a container whose metadata
// names no group has one of its own. Where the containers of a group have different
// user namespaces none of them is root over the registry (IpcNamespaces). A Container is one
// container of a runtime. It is over when its last listener is (one came for its first process, one
// for each `exec`), and so its last process; its group's segments go with the group's last
// container.
//
// Ownership: servers share what they use, and may need it a moment longer than it is known here.
// Thread rule: one thread, but for what a server asks for.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "emulation/shm/registries.h"
#include "policy/container_metadata.h"
#include "supervisor/memory/machine.h"
#include "supervisor/namespaces/ipc_namespaces.h"
#include "supervisor/resources/descriptor_share.h"
#include "supervisor/scope/container_scope.h"
#include "supervisor/scope/joint_scope.h"

namespace shmvisor {

class ContainerGroup {
 public:
  /// `number`: no other group's.
  ContainerGroup(MachineResources& resources, DescriptorPool& descriptors, const Limits& limits,
                 std::uint32_t number);
  ContainerGroup(const ContainerGroup&) = delete;
  ContainerGroup& operator=(const ContainerGroup&) = delete;

  [[nodiscard]] const Limits& limits() const { return limits_; }
  [[nodiscard]] std::uint32_t number() const { return number_; }
  [[nodiscard]] IpcNamespaces& ipc_namespaces() { return ipc_namespaces_; }
  [[nodiscard]] DescriptorShare& descriptor_share() { return descriptor_share_; }

  void add(std::shared_ptr<const ProcessScope> container);
  void remove(const ProcessScope* container);
  /// Whether no container is left.
  [[nodiscard]] bool over() const { return containers_ == 0; }
  /// Lets go of segments that inotify says nobody maps any more. Whether there are more of them.
  bool settle_if_released();
  /// Whether only looking tells of segments nobody maps any more, or of namespaces that are over.
  [[nodiscard]] bool needs_looking_after();
  /// `told` is called when that becomes so, by any thread. To be set before there is a container.
  void tell_of_need(const std::function<void()>& told);
  /// Looks, which takes as long as the containers like. Any thread, one at a time.
  void look_after();

 private:
  const Limits limits_;
  const std::uint32_t number_;
  JointScope scope_;
  DescriptorShare descriptor_share_;
  Machine machine_;
  Registries namespaces_;
  IpcNamespaces ipc_namespaces_;
  int containers_ = 0;
};

class Container {
 public:
  /// `ended` is called when it is over.
  Container(std::string id, const ContainerMetadata& metadata,
            std::shared_ptr<ContainerGroup> group, std::function<void(const Container&)> ended);
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;
  ~Container() = default;

  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] const ContainerMetadata& metadata() const { return metadata_; }
  [[nodiscard]] ContainerGroup& group() const { return *group_; }

  /// One call of each for every listener.
  void listener_begins();
  void listener_ends();

  /// `pid` is a process of it; 0: one whose pid nobody told.
  void take_in(pid_t pid);
  /// Where its processes find the group's registry.
  [[nodiscard]] const std::shared_ptr<IpcHome>& home() const { return home_; }
  /// Whether `pid` may be a process of it, and not of a container that has its id after it.
  [[nodiscard]] bool may_hold(pid_t pid) const;

 private:
  const std::string id_;
  const ContainerMetadata metadata_;
  const std::shared_ptr<ContainerGroup> group_;
  const std::function<void(const Container&)> ended_;
  const std::shared_ptr<ContainerScope> scope_;
  bool has_processes_ = false;
  const std::shared_ptr<IpcHome> home_ = std::make_shared<IpcHome>();
  int listeners_ = 0;
};

}  // namespace shmvisor
