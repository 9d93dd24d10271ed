// SysctlCovers: mounts our files over kernel.shm* of an IPC namespace that a process has entered.
//
// Each IPC namespace has sysctl files of its own in /proc/sys/kernel, which only its own processes
// find (is_seen() of ipc/ipc_sysctl.c). ProcMounts covers only those of the first namespace. A
// process that enters another one would see and set the kernel's. So a thread that has entered
// another namespace is held until cover() has mounted our files there too. /proc/sysvipc/shm is one
// file for all.
//
// A process that clone(2) puts into a new IPC namespace is not seen by the filter, and has the
// kernel's files until it calls unshare(2) or setns(2).
//
// How: a forked child without our descriptors enters the thread's mount namespace, takes our files
// from where they are mounted, enters the thread's IPC namespace, and mounts them there. This takes
// 1 ms, and many times that on some virtual machines, in which a fork keeps all our threads from
// their page faults. So there is no child where the namespace is known to be covered
// (KnownCovers). The thread may have mounted a file system there that it serves itself and that
// never answers. So no request goes to a file system there: /proc is found in the kernel's cache
// (RESOLVE_CACHED) or not at all, must be procfs as our own /proc shows the mount, and no step
// below it leads into another mount (RESOLVE_NO_XDEV). A child that still takes too long is killed;
// the number of such children is bounded.
//
// The mounts are in the thread's mount namespace, for all who live in it, until the kernel unmounts
// them with the IPC namespace. Their number is bounded, for each user and in all: CoverShares.
//
// Errors: none; what cannot be covered stays as it is, and the log says so. Thread rule: any
// thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "policy/base/mutex.h"
#include "policy/base/unique_fd.h"
#include "supervisor/credentials/thread_identity.h"
#include "supervisor/procfiles/cover_shares.h"
#include "supervisor/procfiles/known_covers.h"

namespace shmvisor {

class SysctlCovers {
 public:
  /// `command`: a process with our files in its mount namespace.
  explicit SysctlCovers(pid_t command);
  /// `user_namespace`: the command's; invalid where it is ours.
  explicit SysctlCovers(UniqueFd user_namespace) : user_namespace_(std::move(user_namespace)) {}

  /// `user`: of accountable_user.h. Precondition: the thread makes no other call meanwhile.
  void cover(pid_t tid, uid_t user) const;

 private:
  /// The most children at a time that run, or are killed and not reaped.
  static constexpr std::size_t kMostChildren = 8;

  /// Answers an errno, or 0. `cover`: what the child does, whose exit status is the answer.
  [[nodiscard]] int in_child(const std::function<int()>& cover) const;
  /// Its exit status, or an errno.
  [[nodiscard]] int wait_for(pid_t child) const;
  /// Waits a while for another thread's child to end where there are too many.
  [[nodiscard]] bool may_fork() const;

  /// The IPC namespace whose files ProcMounts covers.
  std::uint64_t covered_ipc_ = NamespaceIds::ours().ipc;
  /// The command's user namespace, where it is not ours: only in there may we mount.
  UniqueFd user_namespace_;
  mutable CoverShares shares_;
  mutable KnownCovers known_;
  mutable Mutex mutex_;
  mutable Condition child_ended_;
  mutable std::size_t children_ GUARDED_BY(mutex_) = 0;
  mutable std::vector<pid_t> killed_ GUARDED_BY(mutex_);  ///< and not gone yet
};

}  // namespace shmvisor
