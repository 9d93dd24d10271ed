// IpcNamespaces: which registry a thread's calls go to, who owns it, and when a namespace is over.
//
// The initial registry is the one that is shared. That of `run` is owned by the user namespace that
// owns the IPC namespace that `run` started in; that of an agent's group by the innermost user
// namespace that is at or above those of all its containers, so that none of them is root over
// another. Those who join may live in IPC namespaces of their own (IpcHome). There they find the
// initial registry, but have no right over it by that: they may have made such a namespace
// themselves.
//
// Any other registry stands for an IPC namespace of the kernel's, which was made inside; it has the
// owner that the kernel gave that one. We hold that namespace's file open, so
// that its inode cannot come to mean another. The kernel would drop the namespace when no process
// lives in it, no descriptor or mount refers to it and none of its segments is mapped: sweep()
// looks for these among the processes we serve, and forgets: at once where nothing new began
// meanwhile, which may have hidden from it, and otherwise after a minute.
//
// Thread rule: any thread. Its lock is held for no longer than it takes to find an entry: what asks
// a process, or frees anything, is done without it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "emulation/shm/registries.h"
#include "policy/base/mutex.h"
#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/credentials/thread_identity.h"
#include "supervisor/credentials/user_namespace.h"
#include "supervisor/namespaces/ipc_home.h"
#include "supervisor/resources/descriptor_share.h"
#include "supervisor/scope/process_scope.h"

namespace shmvisor {

struct OwnedRegistry {
  std::shared_ptr<Registry> registry;
  std::shared_ptr<const NamespaceOwner> owner;
};

class IpcNamespaces {
 public:
  /// The initial registry is made for our own IPC namespace.
  /// `descriptor_share`: null where descriptors are not counted.
  IpcNamespaces(Registries& namespaces, const ProcessScope& scope,
                DescriptorShare* descriptor_share = nullptr)
      : IpcNamespaces(namespaces, scope, NamespaceIds::ours().ipc, descriptor_share) {}
  /// The initial registry is for others alone, and has no owner but that of our own IPC namespace
  /// until one is told.
  static IpcNamespaces of_others(Registries& namespaces, const ProcessScope& scope,
                                 DescriptorShare& descriptor_share) {
    return {namespaces, scope, 0, &descriptor_share};
  }

  /// The initial registry is for the processes of the IPC namespace `ipc` as well. Its owner is the
  /// innermost user namespace that is at or above the owners of all of these. Invalid: nobody knows
  /// which; it counts as ours.
  void take_in(const UniqueFd& ipc);

  /// The registry that the thread's calls go to: the initial one where the thread lives in our own
  /// IPC namespace, in `home` (null: none), or where we may not look. ENOMEM where the namespace is
  /// another but cannot be held: we are out of descriptors, those whom we serve have their share,
  /// or the thread is gone. `real_uid`: of the thread now, where it is known; it pays for a
  /// namespace that begins.
  [[nodiscard]] Result<OwnedRegistry> of(ThreadIdentity& thread, IpcHome* home = nullptr,
                                         std::optional<uid_t> real_uid = std::nullopt);
  /// The owner of that registry, which is not made for it. Never null.
  [[nodiscard]] std::shared_ptr<const NamespaceOwner> owner_of(ThreadIdentity& thread,
                                                               IpcHome* home = nullptr);

  /// `thread` has left its IPC namespace by unshare(2), and with it the segments that it created.
  void left(const CreatorThread& thread) { namespaces_.disown(thread); }

  /// Whether sweep() has anything to look for.
  [[nodiscard]] bool need_sweeping() const;
  /// `told` is called when that becomes so, by any thread, with a lock held. To be set before there
  /// are other threads.
  void tell_of_need(std::function<void()> told) { tell_of_need_ = std::move(told); }
  /// Takes as long as those whom we serve like, in a fifth of the time at most: it looks at each
  /// descriptor of theirs. Not for a main loop; from one thread at a time.
  void sweep();
  /// A sweep under way ends soon, and later ones do nothing.
  void stop_sweeping() { stopping_.store(true); }

 private:
  IpcNamespaces(Registries& namespaces, const ProcessScope& scope, IpcNamespaceId ours,
                DescriptorShare* descriptor_share)
      : namespaces_(namespaces),
        scope_(scope),
        ours_(ours),
        descriptor_share_(descriptor_share),
        initial_owner_(std::make_shared<const NamespaceOwner>(NamespaceOwner::of_ours())) {}

  /// Whether the initial registry is meant.
  [[nodiscard]] bool is_initial(ThreadIdentity& thread, IpcHome* home) const;
  /// Nothing where its user, or the group, has its share.
  std::optional<DescriptorShare::Part> charge(ThreadIdentity& thread,
                                              std::optional<uid_t> real_uid) const;

  struct Held {
    UniqueFd file;
    std::shared_ptr<const NamespaceOwner> owner;
    DescriptorShare::Part part;
    std::uint64_t asked = 0;  ///< how often its registry was asked for
    std::optional<std::chrono::steady_clock::time_point> unseen_since = std::nullopt;
  };
  OwnedRegistry registry_of(std::pair<const IpcNamespaceId, Held>& held) REQUIRES(mutex_);
  /// The thread's own. Takes no lock: it asks for the thread's files. ENOMEM: see of().
  Result<Held> hold(ThreadIdentity& thread, std::optional<uid_t> real_uid);

  /// A namespace that is over, unless its registry was asked for since.
  struct Over {
    IpcNamespaceId id = 0;
    std::uint64_t asked = 0;
  };
  std::vector<Over> find_over(const std::set<IpcNamespaceId>& unreferred, bool certain);
  void forget(const std::vector<Over>& over);

  class Pace;
  bool look_for(std::set<IpcNamespaceId>& unreferred, Pace& pace) const;

  Registries& namespaces_;
  const ProcessScope& scope_;
  const IpcNamespaceId ours_;  ///< 0: none
  DescriptorShare* const descriptor_share_;
  std::function<void()> tell_of_need_ = [] {};
  std::atomic_flag told_of_descriptors_;
  std::atomic<bool> stopping_{false};
  mutable Mutex mutex_;
  std::shared_ptr<const NamespaceOwner> initial_owner_ GUARDED_BY(mutex_);
  bool owner_told_ GUARDED_BY(mutex_) = false;
  UniqueFd owner_file_
      GUARDED_BY(mutex_);  ///< of the first owner that was told, which keeps it and those above it
  std::map<IpcNamespaceId, Held> held_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
