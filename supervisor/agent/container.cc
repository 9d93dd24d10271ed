#include "supervisor/agent/container.h"

#include <fcntl.h>

#include "supervisor/credentials/thread_identity.h"
#include "supervisor/procfs/proc_file.h"

namespace shmvisor {
namespace {

/// Itself, the timer of its threads, the file of its IPC namespace.
constexpr int kDescriptorsOfAListener = 3;

}  // namespace

ContainerGroup::ContainerGroup(MachineResources& resources, DescriptorPool& descriptors,
                               const Limits& limits, std::uint32_t number)
    : limits_(limits),
      number_(number),
      descriptor_share_(descriptors),
      machine_(resources, scope_, &descriptor_share_),
      namespaces_(machine_, limits, 0),
      ipc_namespaces_(IpcNamespaces::of_others(namespaces_, scope_, descriptor_share_)) {}

void ContainerGroup::add(std::shared_ptr<const ProcessScope> container) {
  scope_.add(std::move(container));
  ++containers_;
}

void ContainerGroup::remove(const ProcessScope* container) {
  scope_.remove(container);
  --containers_;
}

bool ContainerGroup::settle_if_released() {
  if (machine_.release_watch().has_news()) namespaces_.files().settle();
  return machine_.release_watch().has_news();
}

void ContainerGroup::tell_of_need(const std::function<void()>& told) {
  machine_.release_watch().tell_of_need(told);
  ipc_namespaces_.tell_of_need(told);
}

bool ContainerGroup::needs_looking_after() {
  return machine_.release_watch().needs_polling() || ipc_namespaces_.need_sweeping();
}

void ContainerGroup::look_after() {
  if (machine_.release_watch().needs_polling()) namespaces_.files().settle();
  if (ipc_namespaces_.need_sweeping()) ipc_namespaces_.sweep();
}

Container::Container(std::string id, const ContainerMetadata& metadata,
                     std::shared_ptr<ContainerGroup> group,
                     std::function<void(const Container&)> ended)
    : id_(std::move(id)),
      metadata_(metadata),
      group_(std::move(group)),
      ended_(std::move(ended)),
      scope_(std::make_shared<ContainerScope>()) {
  group_->add(scope_);
}

void Container::listener_begins() {
  ++listeners_;
  group_->descriptor_share().add(kDescriptorsOfAListener);
}

void Container::listener_ends() {
  group_->descriptor_share().add(-kDescriptorsOfAListener);
  if (--listeners_ != 0) return;
  group_->remove(scope_.get());
  ended_(*this);
}

void Container::take_in(pid_t pid) {
  // Who joins a container is in its cgroup.
  if (pid == 0 && has_processes_) return;
  has_processes_ = true;
  scope_->add_container_of(pid);
  if (home_->inode() != 0) return;
  UniqueFd ipc(pid == 0 ? -1 : ::open(proc_path(pid, "ns/ipc").c_str(), O_RDONLY | O_CLOEXEC));
  group_->ipc_namespaces().take_in(ipc);
  home_->set(std::move(ipc));
}

bool Container::may_hold(pid_t pid) const {
  const std::uint64_t home = home_->inode();
  if (pid == 0 || home == 0) return true;
  const std::uint64_t theirs = NamespaceIds::of_thread(pid).ipc;
  return theirs == 0 || theirs == home;
}

}  // namespace shmvisor
