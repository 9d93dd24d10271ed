#include "supervisor/credentials/thread_namespace.h"

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>

#include "policy/base/held_locks.h"
#include "policy/base/shortage.h"
#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/kernel/file_inode.h"
#include "supervisor/kernel/thread_pidfd.h"
#include "supervisor/kernel/uapi.h"
#include "supervisor/procfs/proc_file.h"

namespace shmvisor {
namespace {

struct Names {
  unsigned long request;
  const char* in_proc;
};
constexpr std::array<Names, 4> kNames = {{{PIDFD_GET_IPC_NAMESPACE, "ns/ipc"},
                                          {PIDFD_GET_USER_NAMESPACE, "ns/user"},
                                          {PIDFD_GET_PID_NAMESPACE, "ns/pid"},
                                          {PIDFD_GET_MNT_NAMESPACE, "ns/mnt"}}};

const Names& names_of(Namespace which) { return kNames.at(static_cast<std::size_t>(which)); }

}  // namespace

Result<UniqueFd> open_namespace_by_pidfd(pid_t tid, Namespace which) {
  if (tid <= 0) return Errno(ESRCH);  // one that cannot be seen from here
  static std::atomic<bool> absent{false};
  if (absent.load(std::memory_order_relaxed)) return Errno(EOPNOTSUPP);
  const auto thread = open_thread_pidfd(tid);
  if (!thread) {
    if (thread.error() == Errno(ESRCH) || is_shortage(thread.error())) return thread.error();
    absent.store(true, std::memory_order_relaxed);  // or forbidden
    return Errno(EOPNOTSUPP);
  }
  UniqueFd opened(
      ::ioctl(thread->get(), names_of(which).request, 0UL));  // EINVAL: another argument
  if (opened.valid()) return opened;
  if (errno == EOPNOTSUPP) return Errno(ESRCH);  // a kernel without namespaces of this kind
  if (errno == ENOTTY || errno == EINVAL) {
    absent.store(true, std::memory_order_relaxed);
    return Errno(EOPNOTSUPP);
  }
  return Errno::current();
}

std::optional<bool> is_in_another_user_namespace(pid_t tid) {
  const auto theirs = read_proc_file(tid, "uid_map");
  const auto ours = read_proc_file(getpid(), "uid_map");
  if (!theirs || !ours) return std::nullopt;
  return *theirs != *ours;
}

Result<UniqueFd> open_namespace_in_proc(pid_t tid, Namespace which) {
  return open_proc_file(tid, names_of(which).in_proc);
}

Result<UniqueFd> open_namespace(pid_t tid, Namespace which) {
  return with_identity_of(tid, kToRead, [&]() -> Result<UniqueFd> {
    auto opened = open_namespace_by_pidfd(tid, which);
    if (opened || opened.error() != Errno(EOPNOTSUPP)) return opened;
    return open_namespace_in_proc(tid, which);
  });
}

std::uint64_t namespace_inode(pid_t tid, Namespace which) {
  const auto inode = with_identity_of(tid, kToRead, [&]() -> Result<std::uint64_t> {
    const auto opened = open_namespace_by_pidfd(tid, which);
    if (opened) return inode_of(*opened);
    if (opened.error() != Errno(EOPNOTSUPP) && !is_shortage(opened.error())) return opened.error();
    HeldLocks::assert_may_wait();
    struct stat status {};
    if (::stat(proc_path(tid, names_of(which).in_proc).c_str(), &status) != 0) {
      return Errno::current();
    }
    return status.st_ino;
  });
  return inode ? *inode : 0;
}

}  // namespace shmvisor
