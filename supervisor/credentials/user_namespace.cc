#include "supervisor/credentials/user_namespace.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "supervisor/credentials/thread_identity.h"
#include "supervisor/kernel/file_inode.h"

namespace shmvisor {
namespace {

/// PROC_USER_INIT_INO of include/linux/proc_ns.h.
constexpr std::uint64_t kFirstUserNamespace = 0xEFFFFFFD;

}  // namespace

NamespaceOwner NamespaceOwner::of(const UniqueFd& ipc) {
  return at_or_above(UniqueFd(ipc.valid() ? ::ioctl(ipc.get(), NS_GET_USERNS) : -1));
}

NamespaceOwner NamespaceOwner::of_user(const UniqueFd& user) {
  return at_or_above(UniqueFd(::fcntl(user.get(), F_DUPFD_CLOEXEC, 0)));
}

NamespaceOwner NamespaceOwner::at_or_above(UniqueFd at) {
  NamespaceOwner owner;
  // Both ioctls answer EPERM for what is not at or below our own user namespace (ns_get_owner() of
  // kernel/user_namespace.c).
  while (at.valid()) {
    Level level{inode_of(at), static_cast<uid_t>(-1)};
    if (level.inode == 0 || ::ioctl(at.get(), NS_GET_OWNER_UID, &level.creator) != 0) break;
    owner.levels_.push_back(level);
    at.reset(::ioctl(at.get(), NS_GET_PARENT));
  }
  return owner;
}

NamespaceOwner NamespaceOwner::of_ours() {
  const UniqueFd ipc(::open("/proc/thread-self/ns/ipc", O_RDONLY | O_CLOEXEC));
  if (ipc.valid() || errno != ENOENT) return of(ipc);
  // A kernel without IPC namespaces (IPC_NS=n). A new one would be owned by our user namespace.
  UniqueFd user(::open("/proc/thread-self/ns/user", O_RDONLY | O_CLOEXEC));
  if (user.valid() || errno != ENOENT) return at_or_above(std::move(user));
  // Without user namespaces too (USER_NS=n) every thread's shows as 0.
  NamespaceOwner owner;
  owner.levels_.push_back({0, 0});
  return owner;
}

NamespaceOwner NamespaceOwner::innermost_above(const NamespaceOwner& other) const {
  NamespaceOwner common;
  const auto is_above_other = [&other](const Level& level) {
    return std::ranges::find(other.levels_, level.inode, &Level::inode) != other.levels_.end();
  };
  common.levels_.assign(std::ranges::find_if(levels_, is_above_other), levels_.end());
  return common;
}

NamespaceOwner NamespaceOwner::at_depth(std::size_t depth) const {
  NamespaceOwner above;
  const std::size_t kept = std::min(depth, levels_.size());
  above.levels_.assign(levels_.end() - static_cast<std::ptrdiff_t>(kept), levels_.end());
  return above;
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
