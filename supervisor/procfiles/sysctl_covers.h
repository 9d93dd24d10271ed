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
// How: a child process does it (CoveringProcess), which takes less than a millisecond where nobody
// else wants the CPU, and some microseconds more for each mount of the mount namespace. There is no
// child where the namespace is known to be covered (KnownCovers). The number of children at a time
// is bounded, also of those that were given up and have not ended. The thread that makes one sleeps
// until it has ended, so it is one that may be lost (LosableThreads).
//
// The mounts are in the thread's mount namespace, for all who live in it, until the kernel unmounts
// them with the IPC namespace. Their number is bounded, for each user and in all: CoverShares.
//
// Errors: none; what cannot be covered stays as it is, and the log says so. Thread rule: any
// thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "policy/base/mutex.h"
#include "policy/base/unique_fd.h"
#include "supervisor/credentials/thread_identity.h"
#include "supervisor/procfiles/cover_shares.h"
#include "supervisor/procfiles/covering_process.h"
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
  /// The most children at a time that run, or are given up and have not ended.
  static constexpr std::size_t kMostChildren = 8;
  using Child = std::shared_ptr<CoveringProcess>;

  /// Has it run. Answers its exit status, or an errno.
  [[nodiscard]] int run(const Child& child) const;
  /// Waits a while for another thread's child to end where there are too many.
  [[nodiscard]] bool begin_child() const;
  /// Of a child that begin_child() counted.
  class ChildPlace {
   public:
    explicit ChildPlace(const SysctlCovers& covers) : covers_(&covers) {}
    ChildPlace(const ChildPlace&) = delete;
    ChildPlace& operator=(const ChildPlace&) = delete;
    ~ChildPlace();
    /// It counts until it is seen to have ended.
    void give_up(const Child& child);

   private:
    const SysctlCovers* covers_;
  };

  /// The IPC namespace whose files ProcMounts covers.
  std::uint64_t covered_ipc_ = NamespaceIds::ours().ipc;
  /// The command's user namespace, where it is not ours: only in there may we mount.
  UniqueFd user_namespace_;
  mutable CoverShares shares_;
  mutable KnownCovers known_;
  mutable Mutex mutex_;
  mutable Condition child_ended_;
  mutable std::size_t children_ GUARDED_BY(mutex_) = 0;
  mutable std::vector<Child> given_up_ GUARDED_BY(mutex_);  ///< and not seen to have ended
};

}  // namespace shmvisor
