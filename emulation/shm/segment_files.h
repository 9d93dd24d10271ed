// SegmentFiles: what all namespaces have in common: their segments by the file that holds the
// pages, and the accounts of locked memory.
//
// shmdt(2) finds a segment by what is mapped at an address, whatever namespace it belongs to; and
// the news that a file was released names the file alone. So this is the one place that settles:
// drops the segments that are over because nobody maps them any more.
//
// Lock order: settling_, then freeing_, then a Registry's mutex, then mutex_.
// Thread rule: any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "emulation/shm/host.h"
#include "emulation/shm/lock_accounts.h"
#include "emulation/shm/segment.h"

namespace shmvisor {

class Registry;

class SegmentFiles {
 public:
  explicit SegmentFiles(Host& host) : host_(host) {}

  /// The segment whose pages have this identity, or null.
  [[nodiscard]] std::shared_ptr<Segment> find(const FileIdentity& file) const;

  /// Drops what was released. Every call begins with it, so that no answer shows a segment that the
  /// kernel would have destroyed. Costs nothing while no segment is watched.
  void settle();

  /// Held by who drops a segment, from before that until its memory is freed, which may take long.
  /// To be taken before a Registry's mutex.
  [[nodiscard]] std::shared_lock<std::shared_mutex> freeing() { return std::shared_lock(freeing_); }
  /// Whether no memory is being freed: for who makes some, and shall find free what was dropped.
  [[nodiscard]] bool all_freed() {
    return std::unique_lock(freeing_, std::try_to_lock).owns_lock();
  }
  /// Waits until it is so.
  void wait_until_freed() { const std::unique_lock all(freeing_); }

  [[nodiscard]] LockAccounts& lock_accounts() { return lock_accounts_; }

  // For Registry, under its exclusive lock.
  void add(const std::shared_ptr<Segment>& segment, Registry& registry);
  void remove(const Segment& segment);
  /// The segment is to be dropped when its last mapping goes.
  void watch(const Segment& segment);
  void unwatch(const Segment& segment);

 private:
  struct Entry {
    std::weak_ptr<Segment> segment;
    std::weak_ptr<Registry> registry;
  };
  struct IdentityHash {
    std::size_t operator()(const FileIdentity& file) const {
      return std::hash<std::uint64_t>{}(file.inode ^ (file.device << 48));
    }
  };

  [[nodiscard]] Entry entry(const FileIdentity& file) const;

  Host& host_;
  /// Whoever finds nothing released must know that nobody is still busy with what was.
  std::mutex settling_;
  std::shared_mutex freeing_;
  mutable std::mutex mutex_;
  std::unordered_map<FileIdentity, Entry, IdentityHash> files_;
  std::atomic<int> watched_{0};
  LockAccounts lock_accounts_;
};

}  // namespace shmvisor
