// Registries: one Registry for each IPC namespace that a supervised process lives in.
//
// A namespace is known by the identity of its file in /proc/PID/ns. Its registry is made when first
// asked for, empty; and forgotten when whoever watches the processes says that the kernel's would
// be gone.
//
// Thread rule: any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "emulation/shm/registry.h"
#include "policy/base/mutex.h"

namespace shmvisor {

/// Inode of /proc/PID/ns/ipc; they all have one device.
using IpcNamespaceId = std::uint64_t;

class Registries {
 public:
  /// `initial`: the namespace the command starts in, which is never forgotten.
  Registries(Host& host, const Limits& limits, IpcNamespaceId initial,
             const MemoryPolicy& policy = {})
      : host_(host),
        memory_policy_(policy),
        files_(host),
        initial_(initial),
        limits_(limits),
        first_(of(initial)) {}

  [[nodiscard]] const std::shared_ptr<Registry>& initial() const { return first_; }
  /// Made when there is none yet. A new one has the limits that the operator set.
  [[nodiscard]] std::shared_ptr<Registry> of(IpcNamespaceId id);
  /// SetUserLimits in all of them, and in those that are made from now on.
  void set_user_limits(const std::shared_ptr<const UserLimits>& limits);
  /// SetLimit in all of them, and in those that are made from now on.
  void set_limits(const LimitSettings& settings);
  /// Each registry gets an observer of `observers`, now or when it is made. `session`: a number
  /// that the observers tell sessions apart by. Before anybody is served.
  void observe(ChangeObservers& observers, std::uint32_t session);
  /// Registry::tell_of_cleaned() of each registry, now or when it is made. Before anybody is
  /// served.
  void tell_of_cleaned(CleanupObserver& observer);
  /// ForgetCreator in all of them.
  void disown(const CreatorThread& creator);
  [[nodiscard]] bool knows(IpcNamespaceId id) const;
  /// All but the initial one.
  [[nodiscard]] std::vector<IpcNamespaceId> others() const;
  /// Null where there is none.
  [[nodiscard]] std::shared_ptr<Registry> find(IpcNamespaceId id) const;
  /// Takes it out, but for the initial one. Its end frees its memory, which takes time: not for a
  /// thread that holds a lock.
  std::shared_ptr<Registry> take(IpcNamespaceId id);
  /// The same for one none of whose segments is mapped, while nobody asks for it. False where it
  /// lives on.
  bool forget(IpcNamespaceId id);

  [[nodiscard]] SegmentFiles& files() { return files_; }

 private:
  [[nodiscard]] std::vector<std::shared_ptr<Registry>> all() const;
  void observe(Registry& registry, IpcNamespaceId id) const REQUIRES(mutex_);
  void tell_of_cleaned(Registry& registry, IpcNamespaceId id) const REQUIRES(mutex_);

  Host& host_;
  const MemoryPolicy memory_policy_;
  SegmentFiles files_;
  const IpcNamespaceId initial_;
  mutable Mutex mutex_;
  Limits limits_ GUARDED_BY(mutex_);
  std::shared_ptr<const UserLimits> user_limits_ GUARDED_BY(mutex_);
  ChangeObservers* observers_ GUARDED_BY(mutex_) = nullptr;  ///< mostly null
  std::uint32_t session_ GUARDED_BY(mutex_) = 0;
  CleanupObserver* cleanup_observer_ GUARDED_BY(mutex_) = nullptr;
  std::map<IpcNamespaceId, std::shared_ptr<Registry>> registries_ GUARDED_BY(mutex_);
  const std::shared_ptr<Registry> first_;
};

}  // namespace shmvisor
