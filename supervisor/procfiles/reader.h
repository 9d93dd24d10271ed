// Reader: the thread behind a request for one of our files in /proc, and what it may do there.
//
// The thread waits in the kernel until we answer, so its tid means it and it changes nothing of
// itself meanwhile.
//
// Rules: /proc/sysvipc/shm is root's, mode 0444, so that nobody but who overrides permissions can
// open it for writing. The sysctls go by ipc_permissions() of ipc/ipc_sysctl.c: root of the user
// namespace that owns the registry (IpcNamespaces) may write, by its effective uid and not by
// capability; shm_next_id is for CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN there, whoever has them.
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

/// Who owns the sysctls of an IPC namespace, as ids of our user namespace.
struct SysctlOwner {
  std::optional<uid_t> uid;  ///< nothing: nobody whom we can see
  std::optional<gid_t> gid;
  std::shared_ptr<const NamespaceOwner> user_namespace;
};

class Reader {
 public:
  /// `tid`: in our pid namespace; 0 for a thread that cannot be seen from there, which has no
  /// rights. `home`: see IpcNamespaces.
  Reader(pid_t tid, IpcNamespaces& namespaces, IpcHome* home);

  [[nodiscard]] const std::shared_ptr<ThreadIdentity>& thread() const { return thread_; }
  /// What its calls go to.
  [[nodiscard]] Result<OwnedRegistry> registry() { return namespaces_.of(*thread_, home_); }
  /// Of that. Where its user namespace is neither ours nor the reader's, whoever made that one
  /// stands for its root.
  [[nodiscard]] SysctlOwner sysctl_owner();
  /// Whether it may open or write `file`, a sysctl of the namespace that `owner` owns or the table.
  [[nodiscard]] bool may_write(ProcFile file, const SysctlOwner& owner);
  /// What access(2) says of that: without capabilities, unless the real uid is root's.
  [[nodiscard]] bool may_write_by_real_uid(ProcFile file, const SysctlOwner& owner);
  /// inode_owner_or_capable(): whether it may set the times.
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
