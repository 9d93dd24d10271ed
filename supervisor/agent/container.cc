#include "supervisor/agent/container.h"

#include "supervisor/credentials/thread_identity.h"
#include "supervisor/credentials/thread_namespace.h"
#include "supervisor/kernel/file_inode.h"

namespace shmvisor {
namespace {

/// Itself, the timer of its threads, the file of its IPC namespace.
constexpr int kDescriptorsOfAListener = 3;

}  // namespace

ContainerGroup::ContainerGroup(std::shared_ptr<Session> session, const LimitSettings& own,
                               KeptSession* kept)
    : session_(std::move(session)), own_(own), kept_(kept) {
  if (kept_ == nullptr) return;
  kept_->own = own_;
  kept_->state.store(session_->number());
  session_->namespaces().keep_owner_in(&kept_->owner);
}

/// The session, which others may have still, closes what is named there.
ContainerGroup::~ContainerGroup() {
  if (kept_ == nullptr) return;
  session_->namespaces().keep_owner_in(nullptr);
  kept_->state.store(0);
}

void ContainerGroup::steer(const Steering& steering) {
  session_->steer(steering, own_);
  if (kept_ != nullptr) steering.limits.without(own_).apply_to(kept_->limits);
}

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
                     std::function<void(const Container&)> ended, KeptContainer* kept)
    : id_(std::move(id)),
      name_(std::move(name)),
      metadata_(metadata),
      group_(std::move(group)),
      ended_(std::move(ended)),
      scope_(std::make_shared<ContainerScope>()),
      kept_(kept) {
  group_->add(scope_);
  in_group_ = true;
  // Nothing throws from here on. One that comes back is noted already.
  if (kept_ != nullptr && kept_->state.load() == KeptContainer::kFree) {
    kept_->state.store(KeptContainer::kMade);
  }
}

void Container::come_back() {
  kept_->add_parts_to(*scope_);
  has_processes_ = kept_->has_processes.load();
  const int file = kept_->home.file.load();
  if (file < 0) {
    home_->keep_in(&kept_->home);
    return;
  }
  UniqueFd ipc(file);
  if (inode_of(ipc) == kept_->home.inode.load()) home_->set(std::move(ipc));
  home_->keep_in(&kept_->home);
}

/// Before what is named there is closed.
void Container::be_kept_no_more() {
  if (kept_ == nullptr) return;
  home_->keep_in(nullptr);
  std::exchange(kept_, nullptr)->state.store(KeptContainer::kFree);
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
  be_kept_no_more();
  leave_group();
  ended_(*this);
}

void Container::take_in(pid_t pid) {
  // A process that joins a container is in its cgroup.
  if (pid == 0 && has_processes_) return;
  const auto part = scope_->add_container_of(pid);
  has_processes_ = true;
  if (kept_ != nullptr) {
    if (part) kept_->add(*part);
    kept_->has_processes.store(true);
    home_->keep_in(&kept_->home);
  }
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
