#include "supervisor/credentials/user_namespace.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>

#include "supervisor/credentials/thread_identity.h"
#include "supervisor/kernel/file_inode.h"

namespace shmvisor {
namespace {

/// PROC_USER_INIT_INO of include/linux/proc_ns.h.
constexpr std::uint64_t kFirstUserNamespace = 0xEFFFFFFD;

}  // namespace

NamespaceOwner NamespaceOwner::of(const UniqueFd& ipc) {
  NamespaceOwner owner;
  // Both ioctls answer EPERM for what is not at or below our own user namespace (ns_get_owner() of
  // kernel/user_namespace.c).
  UniqueFd at(ipc.valid() ? ::ioctl(ipc.get(), NS_GET_USERNS) : -1);
  while (at.valid()) {
    Level level{inode_of(at), static_cast<uid_t>(-1)};
    if (level.inode == 0 || ::ioctl(at.get(), NS_GET_OWNER_UID, &level.creator) != 0) break;
    owner.levels_.push_back(level);
    at.reset(::ioctl(at.get(), NS_GET_PARENT));
  }
  return owner;
}

NamespaceOwner NamespaceOwner::of_ours() {
  return of(UniqueFd(::open("/proc/thread-self/ns/ipc", O_RDONLY | O_CLOEXEC)));
}

NamespaceOwner NamespaceOwner::innermost_above(const NamespaceOwner& other) const {
  NamespaceOwner common;
  const auto is_above_other = [&other](const Level& level) {
    return std::ranges::find(other.levels_, level.inode, &Level::inode) != other.levels_.end();
  };
  common.levels_.assign(std::ranges::find_if(levels_, is_above_other), levels_.end());
  return common;
}

bool NamespaceOwner::grants(std::uint64_t user_namespace, bool has_effective, uid_t euid) const {
  for (std::size_t i = 0; i < levels_.size(); ++i) {
    if (levels_[i].inode == user_namespace) return has_effective;
    const bool in_parent = i + 1 < levels_.size() && levels_[i + 1].inode == user_namespace;
    if (in_parent && levels_[i].creator == euid && is_unambiguous(euid)) return true;
  }
  return false;
}

bool is_unambiguous(uid_t id) {
  return id != kOverflowId || is_first_user_namespace(NamespaceIds::ours().user);
}

bool is_first_user_namespace(std::uint64_t user_namespace) {
  return user_namespace == kFirstUserNamespace;
}

}  // namespace shmvisor
