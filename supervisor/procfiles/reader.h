// Reader: the thread behind a request for one of our files in /proc, and what it may do there.
//
// The thread waits in the kernel until we answer. So its tid stays its own, and its credentials do
// not change meanwhile.
//
// Rules: /proc/sysvipc/shm is root's, mode 0444, so that only a thread that overrides permissions
// can open it for writing. The sysctls follow ipc_permissions() of ipc/ipc_sysctl.c: root of the
// user namespace that owns the registry (IpcNamespaces) may write, by its effective uid and not by
// capability; shm_next_id may be written by any thread with CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN
// there.
//
// Thread rule: one thread; lives for one request.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>

#include "supervisor/credentials/thread_identity.h"
#include "supervisor/credentials/user_namespace.h"
#include "supervisor/namespaces/ipc_namespaces.h"
#include "supervisor/procfiles/proc_file_list.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {

/// The owner of the sysctls of an IPC namespace, as ids of our user namespace.
struct SysctlOwner {
  std::optional<uid_t> uid;  ///< nothing: no user that we can see
  std::optional<gid_t> gid;
  std::shared_ptr<const NamespaceOwner> user_namespace;
};

class Reader {
 public:
  /// `tid`: in our pid namespace; 0 for a thread that cannot be seen from there, which has no
  /// rights. `home`: see IpcNamespaces.
  Reader(pid_t tid, IpcNamespaces& namespaces, IpcHome* home);

  [[nodiscard]] const std::shared_ptr<ThreadIdentity>& thread() const { return thread_; }
  /// Its effective uid.
  [[nodiscard]] uid_t user() { return status().euid; }
  /// The registry that the reader's calls go to.
  [[nodiscard]] Result<OwnedRegistry> registry() { return namespaces_.of(*thread_, home_); }
  /// The owner of that registry's sysctls. Where its user namespace is neither ours nor the
  /// reader's, the creator of that namespace stands for its root.
  [[nodiscard]] SysctlOwner sysctl_owner();
  /// Whether the reader may open or write `file`: the table, or a sysctl of the namespace that
  /// `owner` owns.
  [[nodiscard]] bool may_write(ProcFile file, const SysctlOwner& owner);
  /// The same for access(2): by the real uid, and without capabilities unless that is root's.
  [[nodiscard]] bool may_write_by_real_uid(ProcFile file, const SysctlOwner& owner);
  /// Whether the reader may set the times: inode_owner_or_capable().
  [[nodiscard]] bool owns(const SysctlOwner& owner);

 private:
  const TaskStatus& status();
  bool has_capability(unsigned number);

  const std::shared_ptr<ThreadIdentity> thread_;
  IpcNamespaces& namespaces_;
  IpcHome* const home_;
  std::optional<TaskStatus> status_;
  bool without_capabilities_ = false;
};

}  // namespace shmvisor
