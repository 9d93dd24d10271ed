// IpcNamespaces: which registry a thread's calls go to, and when a namespace is over.
//
// A registry stands for an IPC namespace of the kernel's. We hold that namespace's file open, so
// that its inode cannot come to mean another. The kernel would drop the namespace when no process
// lives in it, no descriptor or mount refers to it and none of its segments is mapped: sweep()
// looks for these among the processes we serve, and forgets: at once where nothing new began
// meanwhile, which may have hidden from it, and otherwise after a minute.
//
// Thread rule: any thread.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "emulation/shm/namespaces.h"
#include "policy/base/unique_fd.h"
#include "supervisor/process/descriptor_share.h"
#include "supervisor/process/process_scope.h"
#include "supervisor/process/thread_identity.h"

namespace shmvisor {

class IpcNamespaces {
 public:
  /// The initial registry stands for our own namespace, and for those named to add_initial().
  IpcNamespaces(Namespaces& namespaces, const ProcessScope& scope)
      : IpcNamespaces(namespaces, scope, NamespaceIds::ours().ipc) {}
  /// The initial registry stands for the namespaces named to add_initial(), or for that of the
  /// first caller.
  static IpcNamespaces of_others(Namespaces& namespaces, const ProcessScope& scope,
                                 DescriptorShare& descriptor_share) {
    return {namespaces, scope, 0, &descriptor_share};
  }

  /// The namespace that `tid` lives in belongs to the initial registry from now on. Its identity; 0
  /// where it cannot be held.
  IpcNamespaceId add_initial(pid_t tid);
  /// Takes that back, when the last process in it has ended.
  void remove_initial(IpcNamespaceId id);

  /// Where we may not look the initial one is meant. Null where the namespace is another but cannot
  /// be held: we are out of descriptors, those whom we serve have their share, or the thread is
  /// gone.
  [[nodiscard]] std::shared_ptr<Registry> of(ThreadIdentity& thread);

  /// `thread` has left its IPC namespace by unshare(2), and with it the segments that it created.
  void left(const CreatorThread& thread) { namespaces_.disown(thread); }

  /// Whether sweep() has anything to look for.
  [[nodiscard]] bool need_sweeping() const;
  /// Takes as long as those whom we serve like: it looks at each descriptor of theirs. From one
  /// thread at a time.
  void sweep();

 private:
  IpcNamespaces(Namespaces& namespaces, const ProcessScope& scope, IpcNamespaceId ours,
                DescriptorShare* descriptor_share = nullptr)
      : namespaces_(namespaces), scope_(scope), ours_(ours), descriptor_share_(descriptor_share) {}

  /// mutex_ held.
  IpcNamespaceId hold_initial(pid_t tid);

  Namespaces& namespaces_;
  const ProcessScope& scope_;
  const IpcNamespaceId ours_;  ///< 0: none
  DescriptorShare* const descriptor_share_;
  mutable std::mutex mutex_;
  std::map<IpcNamespaceId, UniqueFd> initial_;
  struct Held {
    UniqueFd file;
    DescriptorShare::Part part;
    std::optional<std::chrono::steady_clock::time_point> unseen_since = std::nullopt;
  };
  std::map<IpcNamespaceId, Held> held_;
};

}  // namespace shmvisor
