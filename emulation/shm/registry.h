// Registry: the shared memory segments of one IPC namespace.
//
// It keeps the identifiers, the keys, the totals and the limits, and knows when a segment is over.
// The rules of the four calls are in emulation/syscalls.
//
// Thread rule: any thread. The lock is the registry's own. Whoever looks at more than one thing at
// a time holds a ReadGuard, whoever changes it a WriteGuard; through them alone its state is
// reached. The kernel's answer to "does anybody map it" is asked under the lock (1.6 µs). What may
// take long, or wait for somebody, is done without it: counting mappings, opening a segment's
// memory, making that of a new one (the key and the pages are reserved meanwhile: Creations),
// freeing that of a removed one (Dropped), locking it.
//
// Rule: no lock of ours is held while we wait for a process that is not ours (RwLock). A call that
// changes the registry takes its caller over first, where a signal could void it
// (Caller::secure()); then locks, decides, makes sure that the caller is still there
// (Caller::confirm()), changes, and unlocks; then frees what went; and only then the caller gets
// its answer and runs on.
//
// Lock order: SegmentFiles' settling, then the registry's, then SegmentFiles' own, FreeingMemory's
// and those of the Host. A Segment's locking comes before the registry's.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "emulation/abi/shm_abi.h"
#include "emulation/ipc/id_table.h"
#include "emulation/ipc/rw_lock.h"
#include "emulation/shm/change.h"
#include "emulation/shm/change_observer.h"
#include "emulation/shm/cleanup_observer.h"
#include "emulation/shm/dropped.h"
#include "emulation/shm/host.h"
#include "emulation/shm/registry_state.h"
#include "emulation/shm/segment.h"
#include "emulation/shm/segment_files.h"
#include "policy/base/result.h"
#include "policy/base/thread_safety.h"
#include "policy/limits/limits.h"
#include "policy/limits/memory_policy.h"

namespace shmvisor {

/// One line of /proc/sysvipc/shm.
struct ShmTableRow {
  int id = 0;
  ShmidDs ds;
  PageUsage usage;
};

/// Which lines of it.
struct ShmTableRange {
  int first_index = 0;  ///< of identifiers, IdSpace::index_of()
  std::size_t most = IdSpace::kMaxIds;
  bool count_attaches = true;  ///< without, nattch is 0
};

class Registry : public std::enable_shared_from_this<Registry> {
 public:
  using SegmentPointer = std::shared_ptr<Segment>;

  Registry(Host& host, SegmentFiles& files, const Limits& limits, const MemoryPolicy& policy = {})
      : host_(host), files_(files), memory_policy_(policy), state_(limits) {}
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  /// What is left goes with it: free_ipcs().
  ~Registry();

  [[nodiscard]] Host& host() const { return host_; }
  [[nodiscard]] SegmentFiles& files() const { return files_; }
  [[nodiscard]] const MemoryPolicy& memory_policy() const { return memory_policy_; }

  class ReadGuard;
  class WriteGuard;
  /// To look, until the guard goes.
  [[nodiscard]] ReadGuard read() const;
  /// To look and to change.
  [[nodiscard]] WriteGuard write();

  // The others take the lock themselves.

  /// Carries out a change that needs no look. What it drops is freed in a thread of its own.
  void change(const Change& change);
  /// `observer` is told of each change from now on, until the end. Of the state as it is, too.
  /// Before anybody is served.
  void observe(std::unique_ptr<ChangeObserver> observer);
  /// `observer` is told of segments that go by themselves; borrowed. `ipc_namespace`: what this
  /// registry is to it. Before anybody is served.
  void tell_of_cleaned(CleanupObserver& observer, std::uint64_t ipc_namespace);
  /// To the observer it is over, though somebody may have it still.
  void unobserve();
  /// SetLimit of each that is set.
  void set_limits(const LimitSettings& settings);
  /// Drops what became over since the last time, up to a bound. A call that looks at all segments,
  /// or makes one, begins with it.
  void settle();
  // The same for the one segment that a call names. They cost nothing while no segment is watched.
  void settle_id(int id);
  void settle_index(int id);
  void settle_key(key_t key);
  /// DropIfOver of a segment: what is dropped is added to `dropped`.
  void drop_if_over(const SegmentPointer& segment, Dropped& dropped);
  /// An attach has its description, or gave up (Segment::begin_opening()).
  void end_opening(const SegmentPointer& segment) noexcept;
  /// How its memory is to be locked: Segment::renew_lock().
  [[nodiscard]] LockMode lock_mode(const Segment& segment) const;
  /// Whether any segment is mapped; a namespace with one lives on without processes.
  [[nodiscard]] bool anything_mapped() const;
  /// shm_nattch of each of them, whose memory was in use just now. Takes long, and no lock: a walk
  /// through the processes, in which one that forks and ends can hide its child from us. So we look
  /// again for whom the kernel says that a segment is in use, before it seems abandoned; and where
  /// not every process can be looked at, such a segment has 1 at least: 0 would tell programs that
  /// they may take it over. `waiting`, errors: those of Host::count_mappings().
  [[nodiscard]] Result<std::vector<std::uint64_t>> count_attaches(
      std::span<const SegmentPointer> segments, pid_t waiting = 0) const;
  /// What all segments together have allocated.
  [[nodiscard]] PageUsage usage() const;
  /// Lines of the table of /proc/sysvipc/shm in the order of their index, ids and pids as
  /// `viewpoint` shows them. Errors: those of Host::count_mappings().
  [[nodiscard]] Result<std::vector<ShmTableRow>> rows(Viewpoint& viewpoint,
                                                      const ShmTableRange& range = {}) const;

  [[nodiscard]] bool rmid_forced() const { return rmid_forced_; }
  /// Setting it drops what is not mapped and whose creator has ended: shm_destroy_orphaned().
  void set_rmid_forced(bool forced);
  /// Pages that `uid` has locked with SHM_LOCK, here and in other namespaces.
  [[nodiscard]] std::uint64_t locked_pages(uid_t uid) const;

 private:
  void prepare(const Change& change, Dropped& dropped) REQUIRES(lock_);
  void prepare_for(const InsertSegment& change, Dropped& dropped) REQUIRES(lock_);
  void prepare_for(const RemoveSegment& change, Dropped& dropped) REQUIRES(lock_);
  void prepare_for(const SetLocked& change, Dropped& dropped) REQUIRES(lock_);
  /// Of a change that needs no memory, or one that nobody decides for a caller.
  template <typename Other>
  void prepare_for(const Other& /*change*/, Dropped& /*dropped*/) {}
  void cancel() REQUIRES(lock_);
  void apply(const Change& change, Dropped& dropped) REQUIRES(lock_);
  void carry_out(const InsertSegment& change, Dropped& dropped) REQUIRES(lock_);
  void carry_out(const RemoveSegment& change, Dropped& dropped) REQUIRES(lock_);
  void carry_out(const SetPermissions& change, Dropped& dropped) REQUIRES(lock_);
  void carry_out(const SetLocked& change, Dropped& dropped) REQUIRES(lock_);
  void carry_out(const DropIfOver& change, Dropped& dropped) REQUIRES(lock_);
  void carry_out(const ForgetCreator& change, Dropped& dropped) REQUIRES(lock_);
  void carry_out(const SetLimit& change, Dropped& dropped) REQUIRES(lock_);
  void carry_out(const SetUserLimits& change, Dropped& dropped) REQUIRES(lock_);
  void carry_out(const SetNextId& change, Dropped& dropped) REQUIRES(lock_);
  void carry_out(const SetIdCursor& change, Dropped& dropped) REQUIRES(lock_);
  void carry_out(const SetRmidForced& change, Dropped& dropped) REQUIRES(lock_);
  /// Watches all of them, or none where memory runs out (std::bad_alloc).
  void watch_all(const std::vector<SegmentPointer>& segments) REQUIRES(lock_);
  void unlock(Segment& segment) REQUIRES(lock_);
  void tell_of(const Segment& segment) REQUIRES(lock_);
  void tell_cleaned(const Segment& segment, CleanedBy by) const REQUIRES(lock_);
  void tell_of_settings() REQUIRES(lock_);
  [[nodiscard]] bool is_removed(const Segment& segment) const REQUIRES_SHARED(lock_);
  [[nodiscard]] bool is_locked(const Segment& segment) const REQUIRES_SHARED(lock_);
  void destroy(const SegmentPointer& segment, Dropped& dropped) noexcept REQUIRES(lock_);
  /// Takes it out of the registry, and leaves its memory to whoever maps it.
  void withdraw(const SegmentPointer& segment) REQUIRES(lock_);
  /// settle_one() of the segment that `find` finds in the state; nothing where it finds none.
  template <typename Find>
  void settle_found(Find find);
  void settle_one(const SegmentPointer& segment);
  /// Looks whether creators live, kMostCreators of them, and drops what those that do not have left
  /// behind. False where it has not come to the last one.
  bool drop_orphans(Dropped& dropped);
  [[nodiscard]] std::vector<CreatorThread> next_creators();
  [[nodiscard]] bool over(const Segment& segment) const REQUIRES_SHARED(lock_);

  Host& host_;
  SegmentFiles& files_;
  const MemoryPolicy memory_policy_;
  mutable RwLock lock_;
  RegistryState state_ GUARDED_BY(lock_);
  /// Of a change that is yet to be applied.
  struct Prepared {
    Segment* inserted = nullptr;  ///< has its key and file already
    Segment* removed = nullptr;   ///< has a place in what is dropped
    bool stays_mapped = false;    ///< the removed one, which may be in use still
    Segment* watched = nullptr;   ///< the removed one, where it was not watched before
    Segment* locked = nullptr;    ///< charged already
    uid_t locked_by = 0;
  };
  Prepared prepared_ GUARDED_BY(lock_);
  std::unique_ptr<ChangeObserver> observer_ GUARDED_BY(lock_);  ///< mostly null
  CleanupObserver* cleanup_observer_ GUARDED_BY(lock_) = nullptr;
  std::uint64_t ipc_namespace_ GUARDED_BY(lock_) = 0;  ///< of what cleanup_observer_ is told
  std::atomic<bool> rmid_forced_{false};               ///< changed with the lock held
  std::atomic<int> next_creator_index_{0};             ///< where next_creators() goes on
};

/// Holds the registry's lock shared while it lives: nobody changes anything.
/// Clang's analysis cannot follow a guard that a function returns, and need not: nothing else leads
/// to the state.
class Registry::ReadGuard {
 public:
  explicit ReadGuard(const Registry& registry) NO_THREAD_SAFETY_ANALYSIS : registry_(registry),
                                                                           lock_(registry.lock_) {}

  const RegistryState* operator->() const NO_THREAD_SAFETY_ANALYSIS { return &registry_.state_; }
  const RegistryState& operator*() const NO_THREAD_SAFETY_ANALYSIS { return registry_.state_; }

 private:
  const Registry& registry_;
  const ReadLock lock_;
};

/// Holds the registry's lock exclusively while it lives.
class Registry::WriteGuard {
 public:
  explicit WriteGuard(Registry& registry) NO_THREAD_SAFETY_ANALYSIS : registry_(registry),
                                                                      lock_(registry.lock_) {}
  WriteGuard(const WriteGuard&) = delete;
  WriteGuard& operator=(const WriteGuard&) = delete;
  ~WriteGuard() NO_THREAD_SAFETY_ANALYSIS { registry_.cancel(); }

  const RegistryState* operator->() const NO_THREAD_SAFETY_ANALYSIS { return &registry_.state_; }
  const RegistryState& operator*() const NO_THREAD_SAFETY_ANALYSIS { return registry_.state_; }
  /// All of a caller's change that may fail for want of memory, which throws std::bad_alloc: before
  /// the caller is told. Then apply(), with the same `dropped`, cannot fail. Without apply() the
  /// guard takes it back when it goes.
  void prepare(const Change& change, Dropped& dropped) NO_THREAD_SAFETY_ANALYSIS {
    registry_.prepare(change, dropped);
  }
  /// What is dropped by it is to be freed once the guard has gone. Not prepared, it may fail.
  void apply(const Change& change, Dropped& dropped) NO_THREAD_SAFETY_ANALYSIS {
    registry_.apply(change, dropped);
  }
  [[nodiscard]] Creations& creations() NO_THREAD_SAFETY_ANALYSIS {
    return registry_.state_.creations();
  }
  /// Lets the lock go until a creation ends. False at the deadline.
  bool wait_for_a_creation(std::chrono::steady_clock::time_point deadline)
      NO_THREAD_SAFETY_ANALYSIS {
    return creations().wait_for_an_end(registry_.lock_, deadline);
  }

 private:
  Registry& registry_;
  const WriteLock lock_;
};

inline Registry::ReadGuard Registry::read() const { return ReadGuard(*this); }
inline Registry::WriteGuard Registry::write() { return WriteGuard(*this); }

}  // namespace shmvisor
