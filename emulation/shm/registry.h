// Registry: the shared memory segments of one IPC namespace.
//
// It keeps the identifiers, the keys, the totals and the limits, and knows when a segment is over.
// The rules of the four calls are in emulation/syscalls.
//
// Thread rule: hold mutex() shared to look, exclusively to change; which members ask for which is
// said below. The kernel's answer to "does anybody map it" is asked under it (1.6 µs). What may
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
// Lock order: SegmentFiles' settling, then mutex(), then SegmentFiles' own, FreeingMemory's and
// those of the Host. A Segment's locking comes before mutex().
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "emulation/abi/shm_abi.h"
#include "emulation/ipc/id_table.h"
#include "emulation/ipc/rw_lock.h"
#include "emulation/shm/change.h"
#include "emulation/shm/creations.h"
#include "emulation/shm/dropped.h"
#include "emulation/shm/host.h"
#include "emulation/shm/segment.h"
#include "emulation/shm/segment_files.h"
#include "policy/base/result.h"
#include "policy/limits.h"
#include "policy/memory_policy.h"

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
      : host_(host), files_(files), memory_policy_(policy), limits_(limits) {}
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  /// What is left goes with it: free_ipcs().
  ~Registry();

  [[nodiscard]] RwLock& mutex() const { return mutex_; }
  [[nodiscard]] Host& host() const { return host_; }
  [[nodiscard]] SegmentFiles& files() const { return files_; }
  [[nodiscard]] const MemoryPolicy& memory_policy() const { return memory_policy_; }

  // They take the lock themselves.

  /// Drops what became over since the last time, up to a bound. A call that looks at all segments,
  /// or makes one, begins with it.
  void settle();
  // The same for the one segment that a call names. They cost nothing while no segment is watched.
  void settle_id(int id);
  void settle_index(int id);
  void settle_key(key_t key);
  /// Drops the segment if nobody maps it and it was removed, or shm_rmid_forced is set.
  void drop_if_over(const SegmentPointer& segment, Dropped& dropped);
  /// An attach has its description, or gave up (Segment::begin_opening()).
  void end_opening(const SegmentPointer& segment);
  /// How its memory is to be locked: Segment::renew_lock().
  [[nodiscard]] LockMode lock_mode(const Segment& segment) const;
  /// Whether any segment is mapped; a namespace with one lives on without processes.
  [[nodiscard]] bool anything_mapped() const;
  /// shm_nattch of each of them, whose memory was in use just now. Takes long, and no lock: a walk
  /// through the processes, in which one that forks and ends can hide its child from us. So we look
  /// again for whom the kernel says that a segment is in use, before it seems abandoned; and where
  /// not every process can be looked at, such a segment has 1 at least: 0 would tell programs that
  /// they may take it over. Errors: those of Host::count_mappings().
  [[nodiscard]] Result<std::vector<std::uint64_t>> count_attaches(
      std::span<const SegmentPointer> segments) const;
  /// What all segments together have allocated.
  [[nodiscard]] PageUsage usage() const;
  /// Lines of the table of /proc/sysvipc/shm in the order of their index, ids and pids as
  /// `viewpoint` shows them. Errors: those of Host::count_mappings().
  [[nodiscard]] Result<std::vector<ShmTableRow>> rows(Viewpoint& viewpoint,
                                                      const ShmTableRange& range = {}) const;

  // The sysctls of the namespace, kernel.shm*. They take the lock themselves.

  [[nodiscard]] Limits limits() const;
  void set_limits(const Limits& limits);
  /// Reads, changes and writes them under one hold of the lock: of several who change one limit
  /// each, nobody takes back what another did. `change` asks nothing of the registry.
  void update_limits(const std::function<void(Limits&)>& change);
  [[nodiscard]] bool rmid_forced() const { return rmid_forced_; }
  /// Setting it drops what is not mapped and whose creator has ended: shm_destroy_orphaned().
  void set_rmid_forced(bool forced);
  /// exit_shm() of a thread that lives on: nobody has created its segments from now on.
  void disown(const CreatorThread& creator);
  /// The identifier that the next segment shall have; -1 for none.
  [[nodiscard]] int next_id_hint() const { return next_id_hint_; }
  void set_next_id_hint(int id) { next_id_hint_ = id; }

  // Looking: lock held at least shared.

  [[nodiscard]] const Limits& limits_locked() const { return limits_; }
  /// IPC_PRIVATE and removed segments are found by no key.
  [[nodiscard]] SegmentPointer find_key(key_t key) const;
  /// EINVAL, see IdTable.
  [[nodiscard]] Result<SegmentPointer> find(int id) const { return table_.find(id); }
  [[nodiscard]] Result<SegmentPointer> find_index(int id) const { return table_.find_index(id); }
  [[nodiscard]] Result<FreeId> next_id() const {
    return table_.next(limits_.shmmni, next_id_hint_);
  }
  [[nodiscard]] int in_use() const { return table_.in_use(); }
  /// Whether shmmni is reached.
  [[nodiscard]] bool full() const {
    return static_cast<std::uint64_t>(table_.in_use()) >= limits_.shmmni;
  }
  [[nodiscard]] int max_index() const { return table_.max_index(); }
  /// shm_tot: pages of all segments together.
  [[nodiscard]] std::uint64_t total_pages() const { return total_pages_; }
  /// Pages that `uid` has locked with SHM_LOCK, here and in other namespaces.
  [[nodiscard]] std::uint64_t locked_pages(uid_t uid) const;
  /// IPC_STAT's answer but for shm_nattch.
  [[nodiscard]] static ShmidDs describe(const Segment& segment, Viewpoint& viewpoint);

  // Changing: lock held exclusively.

  /// All of the change that may fail for want of memory, which throws std::bad_alloc: before the
  /// caller is told. Followed by apply() or cancel() under the same hold of the lock.
  void prepare(const Change& change);
  void cancel();
  /// What was dropped by it is to be freed without the lock. Not prepared, it may fail as well.
  void apply(const Change& change, Dropped& dropped);
  [[nodiscard]] Creations& creations() { return creations_; }

 private:
  void carry_out(const InsertSegment& change, Dropped& dropped);
  void carry_out(const RemoveSegment& change, Dropped& dropped);
  void carry_out(const SetPermissions& change, Dropped& dropped);
  void carry_out(const SetLocked& change, Dropped& dropped);
  void carry_out(const ForgetNextId& change, Dropped& dropped);
  void account_lock(Segment& segment, bool locked, uid_t uid);
  void destroy(const SegmentPointer& segment, Dropped& dropped);
  /// Takes it out of the registry, and leaves its memory to whoever maps it.
  void withdraw(const SegmentPointer& segment);
  /// The one that `find` names, which is called with the lock held shared; null for none.
  template <typename Find>
  void settle_found(Find find);
  void settle_one(const SegmentPointer& segment);
  /// Looks whether creators live, kMostCreators of them, and drops what those that do not have left
  /// behind. False where it has not come to the last one.
  bool drop_orphans(Dropped& dropped);
  [[nodiscard]] std::vector<CreatorThread> next_creators();
  /// Lock held exclusively.
  void forget_creator(const CreatorThread& creator, Dropped& dropped);
  [[nodiscard]] bool over(const Segment& segment) const;
  [[nodiscard]] std::vector<SegmentPointer> all() const;

  Host& host_;
  SegmentFiles& files_;
  const MemoryPolicy memory_policy_;
  Limits limits_;
  mutable RwLock mutex_;
  Creations creations_;
  IdTable<Segment> table_;
  std::unordered_map<key_t, SegmentPointer> by_key_;
  Segment* prepared_ = nullptr;  ///< of InsertSegment, until it is applied
  std::uint64_t total_pages_ = 0;
  std::atomic<bool> rmid_forced_{false};
  std::atomic<int> next_id_hint_{-1};
  std::atomic<int> next_creator_index_{0};  ///< where next_creators() goes on
};

}  // namespace shmvisor
