#include "supervisor/agent/container.h"

#include "supervisor/credentials/thread_identity.h"
#include "supervisor/credentials/thread_namespace.h"

namespace shmvisor {
namespace {

/// Itself, the timer of its threads, the file of its IPC namespace.
constexpr int kDescriptorsOfAListener = 3;

}  // namespace

void ContainerGroup::add(std::shared_ptr<const ProcessScope> container) {
  session_->scope().add(std::move(container));
  ++containers_;
}

void ContainerGroup::remove(const ProcessScope* container) {
  session_->scope().remove(container);
  --containers_;
}

Container::Container(std::string id, std::string name, const ContainerMetadata& metadata,
                     std::shared_ptr<ContainerGroup> group,
                     std::function<void(const Container&)> ended)
    : id_(std::move(id)),
      name_(std::move(name)),
      metadata_(metadata),
      group_(std::move(group)),
      ended_(std::move(ended)),
      scope_(std::make_shared<ContainerScope>()) {
  group_->add(scope_);
  in_group_ = true;
}

void Container::leave_group() {
  if (std::exchange(in_group_, false)) group_->remove(scope_.get());
}

void Container::listener_begins() {
  ++listeners_;
  group_->session()->descriptors().add(kDescriptorsOfAListener);
}

void Container::listener_ends() {
  group_->session()->descriptors().add(-kDescriptorsOfAListener);
  if (--listeners_ != 0) return;
  leave_group();
  ended_(*this);
}

void Container::take_in(pid_t pid) {
  // A process that joins a container is in its cgroup.
  if (pid == 0 && has_processes_) return;
  scope_->add_container_of(pid);
  has_processes_ = true;
  if (home_->inode() != 0) return;
  auto opened = open_namespace(pid, Namespace::kIpc);
  UniqueFd ipc(opened ? std::move(*opened) : UniqueFd());
  group_->session()->namespaces().take_in(ipc);
  home_->set(std::move(ipc));
}

bool Container::may_hold(pid_t pid) const {
  const std::uint64_t home = home_->inode();
  if (pid == 0 || home == 0) return true;
  const std::uint64_t theirs = namespace_inode(pid, Namespace::kIpc);
  return theirs == 0 || theirs == home;
}

}  // namespace shmvisor
