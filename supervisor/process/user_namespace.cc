#include "supervisor/process/user_namespace.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "policy/base/unique_fd.h"
#include "supervisor/process/borrowed_identity.h"

namespace shmvisor {
namespace {

std::uint64_t inode_of(const UniqueFd& fd) {
  struct stat status {};
  return ::fstat(fd.get(), &status) == 0 ? status.st_ino : 0;
}

/// The user namespace that owns the thread's IPC namespace; invalid where that is out of our sight.
UniqueFd owner_of_ipc(pid_t tid) {
  const auto ipc = reach_proc_file(tid, "ns/ipc");
  return UniqueFd(ipc ? ::ioctl(ipc->get(), NS_GET_USERNS) : -1);
}

}  // namespace

bool capable_over_ipc(ThreadIdentity& thread, bool has_effective, uid_t euid) {
  const NamespaceIds theirs = thread.namespaces();
  const NamespaceIds& ours = NamespaceIds::ours();
  if (theirs.ipc == ours.ipc || theirs.ipc == 0) return has_effective && theirs.user == ours.user;

  UniqueFd owner = owner_of_ipc(thread.tid());
  while (owner.valid()) {
    if (inode_of(owner) == theirs.user) return has_effective;
    UniqueFd parent(::ioctl(owner.get(), NS_GET_PARENT));
    uid_t creator = 0;
    if (parent.valid() && inode_of(parent) == theirs.user &&
        ::ioctl(owner.get(), NS_GET_OWNER_UID, &creator) == 0 && creator == euid) {
      return true;
    }
    owner = std::move(parent);
  }
  return false;
}

}  // namespace shmvisor
