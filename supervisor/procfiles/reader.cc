#include "supervisor/procfiles/reader.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "policy/base/unique_fd.h"
#include "supervisor/process/proc_file.h"
#include "supervisor/process/thread_viewpoint.h"
#include "supervisor/process/user_namespace.h"

namespace shmvisor {

Reader::Reader(pid_t tid) : thread_(std::make_shared<ThreadIdentity>(tid, UniqueFd(), 0)) {}

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
  const NamespaceIds theirs = thread_->namespaces();
  const NamespaceIds& ours = NamespaceIds::ours();
  if (theirs.ipc == 0 || theirs.ipc == ours.ipc) return {};
  const UniqueFd ipc(::open(proc_path(thread_->tid(), "ns/ipc").c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd owner(ipc.valid() ? ::ioctl(ipc.get(), NS_GET_USERNS) : -1);
  struct stat status {};
  if (!owner.valid() || ::fstat(owner.get(), &status) != 0 || status.st_ino == ours.user) return {};
  if (status.st_ino == theirs.user) {
    // A user namespace that has no root leaves the sysctls to the global one.
    ThreadViewpoint viewpoint(thread_);
    return {viewpoint.mean_uid(0).value_or(0), viewpoint.mean_gid(0).value_or(0)};
  }
  uid_t creator = 0;
  ::ioctl(owner.get(), NS_GET_OWNER_UID, &creator);
  return {creator, 0};
}

bool Reader::may_write(ProcFile file, const SysctlOwner& owner) {
  switch (file) {
    case ProcFile::kTable:
      return has_capability(CAP_DAC_OVERRIDE) &&
             thread_->namespaces().user == NamespaceIds::ours().user;
    case ProcFile::kShmNextId:
      return capable_over_ipc(
          *thread_, has_capability(CAP_CHECKPOINT_RESTORE) || has_capability(CAP_SYS_ADMIN),
          status().euid);
    default:
      return status().euid == owner.uid;
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
  return status().euid == owner.uid ||
         (has_capability(CAP_FOWNER) && thread_->namespaces().user == NamespaceIds::ours().user);
}

}  // namespace shmvisor
