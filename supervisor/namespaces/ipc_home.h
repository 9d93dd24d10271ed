// IpcHome: the IPC namespace that the processes under one listener come from, where that is not
// ours. Their calls in that namespace go to the initial registry (IpcNamespaces).
//
// A home belongs to one listener or one container, and has no effect on others: a run that joins
// from an IPC namespace changes nothing for other runs' processes in that namespace.
//
// Ownership: holds the namespace's file open, so that its inode cannot come to mean another. Thread
// rule: any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "policy/base/mutex.h"
#include "policy/base/unique_fd.h"
#include "supervisor/keeper/kept_owner.h"

namespace shmvisor {

class IpcHome {
 public:
  /// The home is not known yet: it will be that of the first caller.
  IpcHome() = default;
  /// `ipc`: an open file of /proc/PID/ns/ipc.
  explicit IpcHome(UniqueFd ipc) { set(std::move(ipc)); }

  /// Sets the home, if it is not known yet.
  void set(UniqueFd ipc);
  /// Notes it there for the next server, borrowed, now or when it is known. Null: not any more.
  void keep_in(KeptHome* place);
  /// The namespace's inode; 0 where it is not known.
  [[nodiscard]] std::uint64_t inode() const;
  /// Whether `ipc_namespace`, the namespace of `tid`, is the home.
  [[nodiscard]] bool is(std::uint64_t ipc_namespace, pid_t tid);

 private:
  void note() REQUIRES(mutex_);

  mutable Mutex mutex_;
  UniqueFd file_ GUARDED_BY(mutex_);
  std::uint64_t inode_ GUARDED_BY(mutex_) = 0;
  KeptHome* kept_ GUARDED_BY(mutex_) = nullptr;
};

}  // namespace shmvisor
