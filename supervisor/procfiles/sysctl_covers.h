// SysctlCovers: mounts our files over kernel.shm* of an IPC namespace that a process has entered.
//
// Each IPC namespace has sysctl files of its own in /proc/sys/kernel: entries that are found by who
// lives in it and by nobody else (is_seen() of ipc/ipc_sysctl.c). What ProcMounts mounted covers
// those of the first namespace alone; a process that goes into another one would see and set the
// kernel's. So whoever is about to use another namespace is held back until cover() has mounted the
// same files once more. /proc/sysvipc/shm is one file for all.
//
// A process that clone(2) puts into a new IPC namespace is not seen by the filter, and has the
// kernel's files until it calls unshare(2) or setns(2).
//
// How: a forked child without descriptors of ours enters the thread's mount namespace, takes our
// files from where they show, enters its IPC namespace, and mounts them where they do not. 1 ms.
// What is mounted in there is the thread's, and may be a file system that it serves itself and
// never answers. So nothing in there is asked anything: /proc is found in the kernel's cache
// (RESOLVE_CACHED) or not at all, must be procfs by what /proc of our own says of the mount, and no
// step below it leads into another mount (RESOLVE_NO_XDEV). A child that is not done in time all
// the same is killed, and bounded in number.
//
// Errors: none; what cannot be covered stays as it is, and the log says so. Thread rule: any
// thread.
#pragma once

#include <sys/types.h>

#include <utility>
#include <vector>

#include "policy/base/mutex.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

class SysctlCovers {
 public:
  /// `command`: who has our files in its mount namespace.
  explicit SysctlCovers(pid_t command);
  /// `user_namespace`: the command's; invalid where it is ours.
  explicit SysctlCovers(UniqueFd user_namespace) : user_namespace_(std::move(user_namespace)) {}

  /// Precondition: the thread makes no other call meanwhile.
  void cover(pid_t tid) const;

 private:
  /// Children that may be under way, or killed and not gone, at a time.
  static constexpr std::size_t kMostChildren = 8;

  /// Its exit status, or an errno.
  [[nodiscard]] int wait_for(pid_t child) const;
  [[nodiscard]] bool may_fork() const;

  /// The command's, where it is not ours: only in there may we mount.
  UniqueFd user_namespace_;
  mutable Mutex mutex_;
  mutable std::size_t children_ GUARDED_BY(mutex_) = 0;
  mutable std::vector<pid_t> killed_ GUARDED_BY(mutex_);  ///< and not gone yet
};

}  // namespace shmvisor
