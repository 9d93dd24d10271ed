#include "supervisor/credentials/accountable_user.h"

#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "policy/base/shortage.h"
#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/credentials/thread_namespace.h"
#include "supervisor/kernel/file_inode.h"

namespace shmvisor {
namespace {

/// The creator of the outermost of these user namespaces below ours: `at`, a thread's, and those
/// around it. Nothing where we cannot see it.
std::optional<uid_t> maker_of_outermost(UniqueFd at) {
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

/// Root and our own user, who gain nothing by more uids.
bool is_privileged(uid_t user) {
  static const uid_t our_user = ::geteuid();
  return user == 0 || user == our_user;
}

/// `maker`: of the thread's namespace, which is not ours.
uid_t accountable_for(uid_t real_uid, std::optional<uid_t> maker) {
  return maker && !is_privileged(*maker) ? *maker : real_uid;
}

}  // namespace

uid_t accountable_user(ThreadIdentity& thread, uid_t real_uid) {
  if (is_privileged(real_uid)) return real_uid;
  const std::uint64_t user_namespace = thread.user_namespace();
  if (user_namespace == 0 || user_namespace == NamespaceIds::ours().user) return real_uid;
  const std::optional<uid_t> maker =
      thread.namespace_maker(user_namespace, [&]() -> std::optional<uid_t> {
        auto own = open_namespace(thread.tid(), Namespace::kUser);
        if (!own) return std::nullopt;
        return maker_of_outermost(std::move(*own));
      });
  return accountable_for(real_uid, maker);
}

std::optional<uid_t> accountable_user_at_once(pid_t pid, uid_t real_uid) {
  if (is_privileged(real_uid)) return real_uid;
  auto own = with_identity_of(pid, kToRead,
                              [&] { return open_namespace_by_pidfd(pid, Namespace::kUser); });
  if (own) {
    if (inode_of(*own) == NamespaceIds::ours().user) return real_uid;
    return accountable_for(real_uid, maker_of_outermost(std::move(*own)));
  }
  if (is_shortage(own.error())) return std::nullopt;
  if (own.error() != Errno(EOPNOTSUPP)) return real_uid;
  if (is_in_another_user_namespace(pid).value_or(true)) return std::nullopt;
  return real_uid;
}

}  // namespace shmvisor
