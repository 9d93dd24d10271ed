// Registry: the shared memory segments of one IPC namespace.
//
// It keeps the identifiers, the keys, the totals and the limits, and knows when a segment is over.
// The rules of the four calls are in emulation/syscalls.
//
// Thread rule: hold mutex() shared to look, exclusively to change; which members ask for which is
// said below. The kernel's answer to "does anybody map it" is asked under it (1.6 µs). What may
// take long is not: counting mappings, making the memory of a new segment, freeing that of a
// removed one (SegmentFiles::freeing). Who creates holds creation_mutex(), so that nobody else does
// meanwhile.
//
// Lock order: creation_mutex() or SegmentFiles' settling, then its freeing, then mutex().
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
  [[nodiscard]] std::mutex& creation_mutex() const { return creation_mutex_; }
  [[nodiscard]] Host& host() const { return host_; }
  [[nodiscard]] SegmentFiles& files() const { return files_; }
  [[nodiscard]] const MemoryPolicy& memory_policy() const { return memory_policy_; }

  // Takes the lock itself.

  /// Drops whatever became over since the last call. Every call begins with it.
  void settle();
  /// Drops the segment if nobody maps it and it was removed, or shm_rmid_forced is set.
  void drop_if_over(const SegmentPointer& segment);
  /// Whether any segment is mapped; a namespace with one lives on without processes.
  [[nodiscard]] bool anything_mapped() const;
  /// shm_nattch of each of them, whose memory was in use just now. Takes long, and no lock: a walk
  /// through the processes, in which one that forks and ends can hide its child from us. So we look
  /// again for whom the kernel says that a segment is in use, before it seems abandoned; and where
  /// not every process can be looked at, such a segment has 1 at least: 0 would tell programs that
  /// they may take it over. Errors: those of Host::count_mappings().
  [[nodiscard]] Result<std::vector<std::uint64_t>> count_attaches(
      std::span<const SegmentPointer> segments) const;
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
  /// What all segments together have allocated.
  [[nodiscard]] PageUsage usage() const;
  /// Pages that `uid` has locked with SHM_LOCK, here and in other namespaces.
  [[nodiscard]] std::uint64_t locked_pages(uid_t uid) const;
  /// IPC_STAT's answer but for shm_nattch.
  [[nodiscard]] static ShmidDs describe(const Segment& segment, Viewpoint& viewpoint);

  // Changing: lock held exclusively.

  /// Precondition: `free` came from next_id() under this same hold of the lock.
  void insert(const FreeId& free, const SegmentPointer& segment);
  /// do_shm_rmid(): destroys it, or marks it SHM_DEST and takes its key away while it is mapped.
  void remove(const SegmentPointer& segment);
  /// Sets or clears SHM_LOCKED and charges `uid` for the pages. As in the kernel nothing is
  /// allocated for it: what is there is locked now, the rest when it comes.
  void set_locked(Segment& segment, bool locked, uid_t uid);

 private:
  void destroy(const SegmentPointer& segment);
  void drop_orphans();
  [[nodiscard]] bool over(const Segment& segment) const;
  [[nodiscard]] std::vector<SegmentPointer> all() const;

  Host& host_;
  SegmentFiles& files_;
  const MemoryPolicy memory_policy_;
  Limits limits_;
  mutable std::mutex creation_mutex_;
  mutable RwLock mutex_;
  IdTable<Segment> table_;
  std::unordered_map<key_t, SegmentPointer> by_key_;
  std::uint64_t total_pages_ = 0;
  std::atomic<bool> rmid_forced_{false};
  std::atomic<int> next_id_hint_{-1};
};

}  // namespace shmvisor
