// FuseMount: a FUSE file system of ours that is created, and mounted nowhere yet.
//
// The pid in a FUSE request is numbered by the pid namespace of the process that created the file
// system (fuse_conn_init() of fs/fuse/inode.c), and we judge rights by it. So the serving process
// creates the file system itself, and gives the mount's descriptor away. Its receiver may put the
// mount anywhere (move_mount(2)), in other namespaces too. A file system that another process
// created is never served.
//
// Thread rule: make() is async-signal-safe; make_for() any thread.
#pragma once

#include "policy/base/unique_fd.h"
#include "supervisor/procfiles/proc_mount_failure.h"

namespace shmvisor {

struct FuseMount {
  UniqueFd connection;  ///< to be served
  UniqueFd mount;

  /// Creates it in the namespaces of the calling process. An open `connection` is used.
  /// `uid`, `gid`: its own, in decimal.
  ProcMountFailure make(const char* uid, const char* gid);
  /// The same for processes in another user namespace: a supervisor without CAP_SYS_ADMIN may
  /// create it only in there, and only where its own user created that namespace.
  /// `user_namespace`: invalid where it is ours.
  ProcMountFailure make_for(const UniqueFd& user_namespace);
};

}  // namespace shmvisor
