#include "supervisor/procfiles/reader.h"

#include <linux/capability.h>

#include "supervisor/credentials/thread_viewpoint.h"

namespace shmvisor {

Reader::Reader(pid_t tid, IpcNamespaces& namespaces, IpcHome* home)
    : thread_(std::make_shared<ThreadIdentity>(tid, UniqueFd(), 0)),
      namespaces_(namespaces),
      home_(home) {}

const TaskStatus& Reader::status() {
  if (status_) return *status_;
  status_.emplace();
  if (auto read = TaskStatus::read(thread_->tid())) {
    *status_ = std::move(*read);
  } else {
    status_->uid = status_->euid = static_cast<uid_t>(-1);
    status_->egid = status_->fsgid = static_cast<gid_t>(-1);
  }
  return *status_;
}

bool Reader::has_capability(unsigned number) {
  return !without_capabilities_ &&
         (status().effective_capabilities & (std::uint64_t{1} << number)) != 0;
}

SysctlOwner Reader::sysctl_owner() {
  SysctlOwner owner{std::nullopt, std::nullopt, namespaces_.owner_of(*thread_, home_)};
  if (!owner.user_namespace->in_sight()) return owner;
  const std::uint64_t inode = owner.user_namespace->inode();
  if (inode == NamespaceIds::ours().user) {
    owner.uid = 0;
    owner.gid = 0;
  } else if (inode == thread_->user_namespace()) {
    ThreadViewpoint viewpoint(thread_);
    owner.uid = viewpoint.mean_uid(0);
    owner.gid = viewpoint.mean_gid(0);
    // A user namespace that has no root leaves the sysctls to the first one's.
    const bool first = is_first_user_namespace(NamespaceIds::ours().user);
    if (!owner.uid && first) owner.uid = 0;
    if (!owner.gid && first) owner.gid = 0;
  } else if (is_unambiguous(owner.user_namespace->creator())) {
    owner.uid = owner.user_namespace->creator();
    owner.gid = 0;
  }
  return owner;
}

bool Reader::may_write(ProcFile file, const SysctlOwner& owner) {
  switch (file) {
    case ProcFile::kTable:
      return has_capability(CAP_DAC_OVERRIDE) &&
             thread_->user_namespace() == NamespaceIds::ours().user;
    case ProcFile::kShmNextId:
      return owner.user_namespace->grants(
          thread_->user_namespace(),
          has_capability(CAP_CHECKPOINT_RESTORE) || has_capability(CAP_SYS_ADMIN), status().euid);
    default:
      return owner.uid == status().euid;
  }
}

bool Reader::may_write_by_real_uid(ProcFile file, const SysctlOwner& owner) {
  ThreadViewpoint viewpoint(thread_);
  without_capabilities_ = viewpoint.mean_uid(0) != status().uid;
  const bool may = may_write(file, owner);
  without_capabilities_ = false;
  return may;
}

bool Reader::owns(const SysctlOwner& owner) {
  return owner.uid == status().euid ||
         (has_capability(CAP_FOWNER) && thread_->user_namespace() == NamespaceIds::ours().user);
}

}  // namespace shmvisor
