// KeptMaps: memory maps of processes (/proc/PID/maps) that stay open from one count to the next.
//
// To open a map takes ten times as long as to ask it for a mapping. An open map shows the address
// space that the process had when the map was opened, as long as any process has that; then the map
// fails with ESRCH. So a kept map may show what its process has left by exec(2) and another process
// still shares (vfork(2), clone(2) with CLONE_VM). A count by kept maps has to know:
//   - A map that shows no mapping of a file is right: after an exec the process maps nothing but
//     what it attaches then, at which drop() is called.
//   - A map that shows some is right on two conditions. The process was known already to share its
//     address space with none of the processes that are counted (DistinctProcesses). And no new
//     process maps the file: an address space is shared only with processes that are made later.
//     ProcessLook checks both.
//
// A process that rests needs no look: it has not run since it was looked at, so that it maps what
// it mapped then. It is known by its SwitchCount, which stays open instead of its map, and takes 1
// µs to read, without a wait for the process. What it maps is changed by threads alone that share
// its address space (and by a process that got hold of its userfaultfd(2)). So it rests where, in
// this order,
//   - it was off its CPU (was_off_cpu());
//   - processes were listed for another look at it;
//   - that look found that it has one thread, that it maps the file, how often, and that no two of
//     the processes that map it share an address space; or that it has none any more;
// and where it was not given a CPU in all that time, nor since. A process that maps none of the
// files is looked at each time: another may share its address space, attach, and end.
//
// A map is kept of a process that was looked at within the last second. Where nobody has asked it
// for a second it is closed, by a thread that lives as long as any is kept; what is known of rest
// likewise. Bounds: map_descriptors() at a time, but for those of SpareFiles; for each the kernel
// keeps a few KiB, also where the process has ended.
//
// Ownership: shares each map with the looks that use it, several at a time. Thread rule: any
// thread.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "policy/base/mutex.h"
#include "supervisor/attaches/counted_spaces.h"
#include "supervisor/attaches/mapped_file.h"
#include "supervisor/attaches/memory_map.h"
#include "supervisor/kernel/features.h"
#include "supervisor/procfs/switch_count.h"

namespace shmvisor {

class KeptMaps {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kUnused{1};

  /// An open map.
  class Map {
   public:
    Map(KernelFeatures features, std::shared_ptr<const DistinctProcesses> distinct,
        std::uint64_t drops)
        : features_(std::move(features)), distinct_(std::move(distinct)), drops_(drops) {}

    /// By PROCMAP_QUERY any number of threads may ask it.
    [[nodiscard]] MemoryMap& map() { return *map_; }
    /// Of the file, which no later process with that pid has. Precondition: it is kept.
    [[nodiscard]] std::uint64_t inode() const { return inode_; }
    [[nodiscard]] Clock::time_point opened() const { return opened_; }
    [[nodiscard]] const DistinctProcesses* distinct() const { return distinct_.get(); }

   private:
    friend class KeptMaps;

    KernelFeatures features_;  ///< map_ borrows it
    std::optional<MemoryMap> map_;
    const Clock::time_point opened_ = Clock::now();
    const std::shared_ptr<const DistinctProcesses> distinct_;
    const std::uint64_t drops_;  ///< of its set, when it was opened
    std::uint64_t inode_ = 0;
  };
  using MapPointer = std::shared_ptr<Map>;

  /// The process's only set, which is never destroyed: a lost thread may use it.
  static KeptMaps& all();
  explicit KeptMaps(std::int64_t most) : most_(most) {}
  KeptMaps(const KeptMaps&) = delete;
  KeptMaps& operator=(const KeptMaps&) = delete;
  ~KeptMaps();

  /// `distinct`: processes that were known to be distinct before; may be null. Errors: those of
  /// MemoryMap::open().
  Result<MapPointer> open(pid_t pid, const KernelFeatures& features,
                          std::shared_ptr<const DistinctProcesses> distinct) const;
  /// Null where none is kept.
  [[nodiscard]] MapPointer of(pid_t pid);
  /// Notes that the process is looked at, which ends the map where the last look was long ago; or
  /// where there are too many, or drop() was called since it was opened.
  void keep(pid_t pid, MapPointer map);
  /// The process maps something new, or its map shows nothing any more.
  void drop(pid_t pid);

  [[nodiscard]] std::int64_t count() const;

  // Of processes at rest.

  /// How often a process at rest maps the file. Nothing where it is to be looked at.
  [[nodiscard]] std::optional<std::uint64_t> at_rest(pid_t pid, const FileIdentity& file);
  /// Whether at_rest() last answered something of the process.
  [[nodiscard]] bool was_at_rest(pid_t pid) const;
  /// Before a look at the process, one of those listed at `listed`: its switches, where it may be
  /// at rest when the look is over. May wait for the process.
  [[nodiscard]] std::optional<std::uint64_t> begin_rest(pid_t pid, Clock::time_point listed);
  /// What a look that begin_rest() began has found, and no process shares its address space. Empty:
  /// nothing that lasts.
  void end_rest(pid_t pid, std::uint64_t switches, std::vector<MappedFile> mapped);

 private:
  /// What is known of the rest of a process.
  struct Rest {
    SwitchCount count;
    std::uint64_t switches = 0;
    std::optional<Clock::time_point> off_cpu;  ///< when it was seen so, with so many switches
    std::vector<MappedFile> mapped;            ///< of files that were looked for; also with 0
  };
  struct Entry {
    MapPointer map;  ///< null where the process was looked at, and no more
    std::unique_ptr<Rest> rest;
    Clock::time_point used;
    int looks_to_leave = 0;  ///< until its rest is asked for
    int leaves = 2;          ///< as many, once it has run: what runs often costs nothing more

    void leave();
  };
  /// What is closed when the lock is given back.
  struct Closed {
    MapPointer map;
    std::unique_ptr<Rest> rest;
  };

  /// The rest of a process that has not run since it was seen last; null otherwise.
  Rest* unmoved(Entry& entry, Closed& closed) REQUIRES(mutex_);
  Entry* find(pid_t pid) REQUIRES(mutex_);

  static void* close_unused(void* self);
  void close_unused() noexcept;
  /// Takes entries away that nobody has used, and as much of what they keep open as there is room
  /// for. False where there is more.
  bool take_unused(std::span<Closed> taken) REQUIRES(mutex_);

  const std::int64_t most_;
  std::atomic<std::uint64_t> drops_{0};  ///< calls of drop(); changed with the lock held
  mutable Mutex mutex_;
  std::unordered_map<pid_t, Entry> entries_ GUARDED_BY(mutex_);
  std::int64_t kept_ GUARDED_BY(mutex_) = 0;  ///< maps and rests of entries
  bool closing_ GUARDED_BY(mutex_) = false;   ///< there is the thread
  bool over_ GUARDED_BY(mutex_) = false;
  Condition changed_;  ///< closing_, over_
};

}  // namespace shmvisor
