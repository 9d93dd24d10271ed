#include "supervisor/credentials/accountable_user.h"

#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "supervisor/credentials/thread_namespace.h"
#include "supervisor/kernel/file_inode.h"

namespace shmvisor {
namespace {

/// The creator of the thread's outermost user namespace below ours. Nothing where we cannot see it.
std::optional<uid_t> maker_of_namespace(pid_t tid) {
  auto own = open_namespace(tid, Namespace::kUser);
  UniqueFd at(own ? std::move(*own) : UniqueFd());
  while (at.valid()) {
    UniqueFd parent(::ioctl(at.get(), NS_GET_PARENT));
    if (!parent.valid()) return std::nullopt;
    if (inode_of(parent) != NamespaceIds::ours().user) {
      at = std::move(parent);
      continue;
    }
    uid_t maker = 0;
    if (::ioctl(at.get(), NS_GET_OWNER_UID, &maker) != 0) return std::nullopt;
    return maker;
  }
  return std::nullopt;
}

}  // namespace

uid_t accountable_user(ThreadIdentity& thread, uid_t real_uid) {
  static const uid_t our_user = ::geteuid();
  if (real_uid == 0 || real_uid == our_user) return real_uid;
  const std::uint64_t user_namespace = thread.user_namespace();
  if (user_namespace == 0 || user_namespace == NamespaceIds::ours().user) return real_uid;
  const std::optional<uid_t> maker =
      thread.namespace_maker(user_namespace, [&] { return maker_of_namespace(thread.tid()); });
  if (!maker || *maker == 0 || *maker == our_user) return real_uid;
  return *maker;
}

}  // namespace shmvisor
