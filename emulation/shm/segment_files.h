// SegmentFiles: what all namespaces have in common: their segments by the file that holds the
// pages, the news of files that were released, and the accounts of locked memory.
//
// shmdt(2) finds a segment by what is mapped at an address, whatever namespace it belongs to; and
// the news that a file was released names the file alone. So this is the one place that settles:
// drops the segments that are over because nobody maps them any more.
//
// Lock order: settling_, then a Registry's mutex, then mutex_.
// Thread rule: any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "emulation/shm/freeing_memory.h"
#include "emulation/shm/host.h"
#include "emulation/shm/lock_accounts.h"
#include "emulation/shm/segment.h"
#include "policy/base/mutex.h"

namespace shmvisor {

class Registry;

class SegmentFiles {
 public:
  /// Segments that one settle() looks at. The work that a call does for others has a bound; what is
  /// left is for the next one.
  static constexpr std::size_t kMostSettled = 1024;

  explicit SegmentFiles(Host& host) : host_(host) {}

  /// The segment whose pages have this identity, or null.
  [[nodiscard]] std::shared_ptr<Segment> find(const FileIdentity& file) const;

  /// Drops what was released. A call that looks at all segments, or makes one, begins with it, so
  /// that no answer shows a segment that the kernel would have destroyed; one that names a segment
  /// looks at that alone (Registry::settle_id()). Costs nothing while no segment is watched.
  void settle();
  /// Drops one that the caller itself let go of, and frees its memory before this returns. Where
  /// another thread has dropped it already and is freeing it, this waits for that thread
  /// (FreeingMemory::kOwnSegment at most).
  void drop_if_over(const std::shared_ptr<Segment>& segment) noexcept;
  [[nodiscard]] bool watches_any() const { return watched_.load(std::memory_order_acquire) != 0; }

  [[nodiscard]] FreeingMemory& freeing() { return *freeing_; }
  [[nodiscard]] LockAccounts& lock_accounts() { return lock_accounts_; }

  // For Registry, under its exclusive lock.
  void add(const std::shared_ptr<Segment>& segment, Registry& registry);
  void remove(const Segment& segment);
  /// The segment is to be dropped when its last mapping goes.
  void watch(Segment& segment);
  void unwatch(Segment& segment);

 private:
  struct Entry {
    std::weak_ptr<Segment> segment;
    std::weak_ptr<Registry> registry;
  };

  [[nodiscard]] Entry entry(const FileIdentity& file) const;

  Host& host_;
  /// Whoever finds nothing released must know that nobody is still busy with what was.
  Mutex settling_;
  const std::shared_ptr<FreeingMemory> freeing_ = std::make_shared<FreeingMemory>();
  mutable Mutex mutex_;
  std::unordered_map<FileIdentity, Entry, FileIdentityHash> files_ GUARDED_BY(mutex_);
  std::atomic<int> watched_{0};
  LockAccounts lock_accounts_;
};

}  // namespace shmvisor
