// Registry: the shared memory segments of one IPC namespace.
//
// It keeps the identifiers, the keys, the totals and the limits, and knows when a removed segment
// is over. The rules of the four calls are in emulation/syscalls.
//
// Lock order: settling_, then mutex(). Hold mutex() shared to look, exclusively to change. The
// kernel's answer to "does anybody map it" is asked under it (1.6 µs); counting mappings, which
// takes long, is not.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "emulation/ipc/id_table.h"
#include "emulation/ipc/rw_lock.h"
#include "emulation/shm/host.h"
#include "emulation/shm/segment.h"
#include "policy/base/result.h"
#include "policy/limits.h"

namespace shmvisor {

class Registry {
 public:
  using SegmentPointer = std::shared_ptr<Segment>;

  Registry(Host& host, const Limits& limits) : host_(host), limits_(limits) {}

  [[nodiscard]] RwLock& mutex() const { return mutex_; }
  [[nodiscard]] Host& host() const { return host_; }
  [[nodiscard]] const Limits& limits() const { return limits_; }

  /// Drops the segments that are marked for removal and that nobody maps any more. Every call
  /// begins with it, so that no answer shows a segment the kernel would have destroyed.
  /// Takes the lock exclusively, but only when something was released.
  void settle();

  // Looking: lock held at least shared.

  /// IPC_PRIVATE and removed segments are found by no key.
  [[nodiscard]] SegmentPointer find_key(key_t key) const;
  /// EINVAL, see IdTable.
  [[nodiscard]] Result<SegmentPointer> find(int id) const { return table_.find(id); }
  [[nodiscard]] Result<SegmentPointer> find_index(int id) const { return table_.find_index(id); }
  /// The segment whose pages have this identity, or null.
  [[nodiscard]] SegmentPointer find_file(const FileIdentity& file) const;
  [[nodiscard]] Result<FreeId> next_id() const {
    return table_.next(static_cast<std::uint64_t>(limits_.shmmni));
  }
  [[nodiscard]] int in_use() const { return table_.in_use(); }
  [[nodiscard]] int max_index() const { return table_.max_index(); }
  /// shm_tot: pages of all segments together.
  [[nodiscard]] std::uint64_t total_pages() const { return total_pages_; }
  /// What all segments together have allocated.
  [[nodiscard]] PageUsage usage() const;
  /// Pages that `uid` has locked with SHM_LOCK.
  [[nodiscard]] std::uint64_t locked_pages(uid_t uid) const;

  // Changing: lock held exclusively.

  /// Precondition: `free` came from next_id() under this same hold of the lock.
  void insert(const FreeId& free, SegmentPointer segment);
  /// do_shm_rmid(): destroys it, or marks it SHM_DEST and takes its key away while it is mapped.
  void remove(const SegmentPointer& segment);
  /// Sets or clears SHM_LOCKED and charges `uid` for the pages.
  void set_locked(Segment& segment, bool locked, uid_t uid);

 private:
  struct IdentityHash {
    std::size_t operator()(const FileIdentity& file) const {
      return std::hash<std::uint64_t>{}(file.inode ^ (file.device << 48));
    }
  };

  void destroy(const SegmentPointer& segment);

  Host& host_;
  const Limits limits_;
  mutable RwLock mutex_;
  /// Whoever finds nothing released must know that nobody is still busy with what was.
  std::mutex settling_;
  IdTable<Segment> table_;
  std::unordered_map<key_t, SegmentPointer> by_key_;
  std::unordered_map<FileIdentity, SegmentPointer, IdentityHash> by_file_;
  std::map<uid_t, std::uint64_t> locked_pages_;
  std::uint64_t total_pages_ = 0;
  /// Segments marked SHM_DEST, read without the lock to keep settle() free when there are none.
  std::atomic<int> doomed_{0};
};

}  // namespace shmvisor
