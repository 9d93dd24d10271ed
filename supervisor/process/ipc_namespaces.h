// IpcNamespaces: which registry a thread's calls go to, and when a namespace is over.
//
// A registry stands for an IPC namespace of the kernel's. We hold that namespace's file open, so
// that its inode cannot come to mean another. The kernel would drop the namespace when no process
// lives in it, no descriptor or mount refers to it and none of its segments is mapped: sweep()
// looks for these among the processes we serve, and forgets.
//
// Thread rule: any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "emulation/shm/namespaces.h"
#include "policy/base/unique_fd.h"
#include "supervisor/process/census.h"
#include "supervisor/process/thread_identity.h"

namespace shmvisor {

class IpcNamespaces {
 public:
  IpcNamespaces(Namespaces& namespaces, const Census& census)
      : namespaces_(namespaces), census_(census) {}

  /// Where we may not look the initial one is meant.
  [[nodiscard]] std::shared_ptr<Registry> of(ThreadIdentity& thread);

  /// Whether sweep() has anything to look for.
  [[nodiscard]] bool need_sweeping() const;
  void sweep();

 private:
  [[nodiscard]] bool referred_to(IpcNamespaceId id) const;

  Namespaces& namespaces_;
  const Census& census_;
  mutable std::mutex mutex_;
  std::map<IpcNamespaceId, UniqueFd> held_;
};

}  // namespace shmvisor
