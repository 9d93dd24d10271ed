// IpcNamespaces: which registry a thread's calls go to, which user namespace owns it, and when an
// IPC namespace is gone.
//
// The initial registry is the one that is shared. That of `run` is owned by the user namespace that
// owns the IPC namespace that `run` started in; that of an agent's group by the innermost user
// namespace that is at or above those of all its containers, so that none of them is root over
// another. The processes of a joined run may live in an IPC namespace of their own (IpcHome). There
// they find the initial registry, but that gives them no right over it: they may have made the
// namespace themselves.
//
// Any other registry stands for an IPC namespace that a served process made, and has the owner that
// the kernel gave that namespace. We hold the namespace's file open, so that its inode cannot come
// to mean another. The kernel drops a namespace when no process lives in it, no descriptor or mount
// refers to it and none of its segments is mapped. sweep() looks for such uses among the processes
// that we serve, and where it finds none it asks the kernel (NamespaceQuestion). Where the kernel
// cannot be asked it forgets a namespace without uses: at once if no process could have hidden a
// use, because it began meanwhile or keeps whoever looks at it (NamespaceUses); otherwise after a
// minute. A process that keeps us so hides no namespace that it lives in.
//
// Thread rule: any thread. The lock is held only to find an entry, and while the kernel is asked
// for one; never while a process is asked or memory is freed.
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
#include "supervisor/keeper/kept_descriptors.h"
#include "supervisor/keeper/kept_owner.h"
#include "supervisor/kernel/features.h"
#include "supervisor/namespaces/ipc_home.h"
#include "supervisor/namespaces/namespace_question.h"
#include "supervisor/resources/descriptor_share.h"
#include "supervisor/scope/process_scope.h"

namespace shmvisor {

struct OwnedRegistry {
  std::shared_ptr<Registry> registry;
  std::shared_ptr<const NamespaceOwner> owner;
  IpcNamespaceId ipc_namespace = 0;  ///< 0: the initial one
};

class IpcNamespaces {
 public:
  /// The initial registry is made for our own IPC namespace.
  /// `descriptor_share`: null where descriptors are not counted.
  IpcNamespaces(Registries& namespaces, const ProcessScope& scope,
                DescriptorShare* descriptor_share = nullptr)
      : IpcNamespaces(namespaces, scope, NamespaceIds::ours().ipc, descriptor_share) {}
  /// The initial registry is made for the IPC namespace `ipc` of a command that we start, and has
  /// the owner of that namespace. An invalid `ipc` is our own.
  static IpcNamespaces of_command(Registries& namespaces, const ProcessScope& scope,
                                  DescriptorShare& descriptor_share, UniqueFd ipc);
  /// What that initial registry is known by among the Registries.
  static IpcNamespaceId id_of(const UniqueFd& ipc);
  /// The initial registry is not for our own IPC namespace. Until take_in() is called its owner is
  /// that of our own IPC namespace.
  static IpcNamespaces of_others(Registries& namespaces, const ProcessScope& scope,
                                 DescriptorShare& descriptor_share) {
    return {namespaces, scope, 0, &descriptor_share};
  }

  /// The initial registry is for the processes of the IPC namespace `ipc` as well. Its owner is the
  /// innermost user namespace at or above the owners of all of these. An invalid `ipc`, of an
  /// unknown namespace, counts as ours.
  void take_in(const UniqueFd& ipc);
  /// The same for a command that joins from there, where its owner does not count anyway: root of
  /// another's user namespace is not root over those who come from outside. Answers the home of the
  /// command's processes; null where the namespace is not known. What throws leaves `ipc` open.
  [[nodiscard]] std::shared_ptr<IpcHome> take_in_joiner(Result<UniqueFd>&& ipc);
  /// The owner of the initial registry is the one that a server which died has noted there, if it
  /// has, and is noted there from now on; borrowed. Before anybody is served. Null: it is not noted
  /// any more.
  void keep_owner_in(KeptOwner* place);
  /// Before there are other threads. Without it all features are tried.
  void use(const KernelFeatures& features) { features_ = features; }
  /// Whether the initial registry is made for another IPC namespace than our own.
  [[nodiscard]] bool initial_is_private() const { return initial_file_.valid(); }

  /// The registry that the thread's calls go to: the initial one where the thread lives in our own
  /// IPC namespace, in `home` (null: none), or where we may not look. ENOMEM where the namespace is
  /// another but cannot be held open: we are out of descriptors, the user or the group has its
  /// share, or the thread is gone. `real_uid`: the thread's current one, where it is known; that
  /// user is charged for a new namespace.
  [[nodiscard]] Result<OwnedRegistry> of(ThreadIdentity& thread, IpcHome* home = nullptr,
                                         std::optional<uid_t> real_uid = std::nullopt);
  /// The owner of that registry; never null. Does not create the registry.
  [[nodiscard]] std::shared_ptr<const NamespaceOwner> owner_of(ThreadIdentity& thread,
                                                               IpcHome* home = nullptr);

  /// Of a session that comes back (supervisor/journal): the namespace `id`, whose registry is
  /// there, is held by `file` again, as a server that died held it. Charged to nobody. Before
  /// anybody is served. False, and the file is not taken, where it is not that namespace's.
  [[nodiscard]] bool take_back(IpcNamespaceId id, UniqueFd&& file);

  /// `thread` has left its IPC namespace `former` by unshare(2), and with it the segments that it
  /// created.
  void left(const CreatorThread& thread, IpcNamespaceId former);

  /// Whether sweep() has anything to look for.
  [[nodiscard]] bool need_sweeping() const;
  /// Whether a thread has left a namespace that sweep() looks for, since the last sweep began.
  [[nodiscard]] bool has_left() const { return has_left_.load(); }
  /// `told` is called when need_sweeping() or has_left() becomes true, in any thread, with a lock
  /// held. Set before there are other threads.
  void tell_of_need(std::function<void()> told) { tell_of_need_ = std::move(told); }
  /// Takes as long as the served processes like: it looks at each of their descriptors, and sleeps
  /// for four fifths of the time. Not for a main loop; from one thread at a time.
  void sweep();
  /// A sweep under way ends soon, and later ones do nothing.
  void stop_sweeping() { stopping_.store(true); }
  /// How long a namespace must not have been seen, where a process may have been missed. For tests.
  void set_long_unseen(std::chrono::milliseconds time) { long_unseen_ = time; }

 private:
  IpcNamespaces(Registries& namespaces, const ProcessScope& scope, IpcNamespaceId initial,
                DescriptorShare* descriptor_share, UniqueFd initial_file = UniqueFd())
      : namespaces_(namespaces),
        scope_(scope),
        initial_(initial),
        initial_file_(std::move(initial_file)),
        descriptor_share_(descriptor_share),
        initial_owner_(std::make_shared<const NamespaceOwner>(
            initial_file_.valid() ? NamespaceOwner::of(initial_file_) : NamespaceOwner::of_ours())),
        owner_told_(initial_file_.valid()) {}

  /// Whether the thread's calls go to the initial registry.
  [[nodiscard]] bool is_initial(ThreadIdentity& thread, IpcHome* home) const;
  /// Nothing where the thread's user, or the group, has its share.
  std::optional<DescriptorShare::Part> charge(ThreadIdentity& thread,
                                              std::optional<uid_t> real_uid) const;

  struct Held {
    UniqueFd file;
    std::shared_ptr<const NamespaceOwner> owner;
    DescriptorShare::Part part;
    std::uint64_t asked = 0;  ///< how often its registry was asked for
    std::optional<std::chrono::steady_clock::time_point> unseen_since = std::nullopt;
    std::unique_ptr<KeptDescriptor> kept = nullptr;  ///< of the file, where there is a keeper
    /// The file is let go, and the number may be another namespace's: nobody is served from this
    /// before there is an answer.
    std::optional<NamespaceQuestion> open_question = std::nullopt;

    void keep() {
      if (KeptDescriptors::current() != nullptr)
        kept = std::make_unique<KeptDescriptor>(file.get());
    }
  };
  Result<OwnedRegistry> registry_of(std::pair<const IpcNamespaceId, Held>& held) REQUIRES(mutex_);
  /// Opens the thread's IPC namespace. Takes no lock, since it opens files of the thread's. ENOMEM:
  /// see of().
  Result<Held> hold(ThreadIdentity& thread, std::optional<uid_t> real_uid);

  /// A namespace that is gone, unless its registry was asked for since.
  struct Over {
    IpcNamespaceId id = 0;
    std::uint64_t asked = 0;
  };
  /// Asks the kernel whether the namespace is there without us, and forgets it where it is not.
  /// False where the kernel cannot be asked.
  bool ask_kernel(IpcNamespaceId id);
  void ask_open_questions();
  std::vector<Over> find_over(const std::set<IpcNamespaceId>& unreferred, bool certain);
  void forget(const std::vector<Over>& over);

  class Pace;
  bool look_for(std::set<IpcNamespaceId>& unreferred, Pace& pace) const;

  Registries& namespaces_;
  const ProcessScope& scope_;
  const IpcNamespaceId initial_;  ///< 0: none
  /// Of that namespace where it is not ours: keeps its inode from meaning another.
  const UniqueFd initial_file_;
  DescriptorShare* const descriptor_share_;
  KernelFeatures features_;
  std::function<void()> tell_of_need_ = [] {};
  std::atomic_flag told_of_descriptors_;
  std::atomic<bool> has_left_{false};
  std::atomic<bool> stopping_{false};
  std::chrono::milliseconds long_unseen_ = std::chrono::minutes(1);
  mutable Mutex mutex_;
  std::shared_ptr<const NamespaceOwner> initial_owner_ GUARDED_BY(mutex_);
  bool owner_told_ GUARDED_BY(mutex_);
  UniqueFd owner_file_
      GUARDED_BY(mutex_);  ///< of the first take_in(), which keeps that owner and those above it
  KeptOwner* kept_owner_ GUARDED_BY(mutex_) = nullptr;  ///< null: nowhere
  std::map<IpcNamespaceId, Held> held_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
