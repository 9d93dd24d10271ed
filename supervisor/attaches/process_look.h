// ProcessLook: looks at several processes, one after the other, and counts their mappings of some
// files.
//
// A look runs in a thread that may be lost (LosableThreads), since it waits in the kernel for locks
// of each process: mmap_lock, and exec_update_lock, which an exec holds while a FUSE file that it
// closes does not answer. The counting thread calls wait(), which is bounded. When the look is
// stuck at a process, wait() gives up that process; look_at() then continues with the rest and with
// what was found so far. The lost thread finishes alone, and reports to KnownMappings.
//
// A process that has very many mappings besides is looked at in short steps (MapsText), so that the
// look keeps no other thread from its CPU. One whose first look is given up for them is probed
// instead: at the addresses where other such processes map the files, as a forked child does, since
// a query for one address takes a microsecond whatever else is mapped.
//
// A map that stays open from an earlier look (KeptMaps) is asked where it is right. Where a process
// that is not known yet maps the files too, it may share what another has left by exec(2): then
// the count has to be made again, with maps that are opened from then on.
//
// Mappings are found by device and inode; an address space that several processes share is counted
// once (CountedSpaces).
//
// Thread rule: run() by one thread, all else by another.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "emulation/memmap/backing_memory.h"
#include "emulation/memmap/mapping_space.h"
#include "emulation/shm/host.h"
#include "policy/base/mutex.h"
#include "policy/base/result.h"
#include "supervisor/attaches/counted_spaces.h"
#include "supervisor/attaches/kept_maps.h"
#include "supervisor/attaches/known_mappings.h"
#include "supervisor/attaches/look_patience.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

class ProcessLook {
 public:
  using Clock = std::chrono::steady_clock;
  using Phase = KnownMappings::Phase;

  struct Times {
    /// No older map is believed that shows the files.
    Clock::time_point opened_since;
    /// When the processes were listed, where `pids` are all of them that are not at rest. The
    /// beginning of time where they are not.
    Clock::time_point listed;
  };
  /// `only_probed`: processes whose own look was given up before it found anything.
  ProcessLook(const KernelFeatures& features, std::shared_ptr<KnownMappings> memory,
              std::span<const FileIdentity> files, std::vector<pid_t> pids,
              std::span<const pid_t> only_probed, const Times& times);

  /// Precondition: the calling thread shares this object, which a thread that waits may give up.
  void run() noexcept;

  /// Waits for the end of the look. False where it was given up at a process, see given_up().
  bool wait(LookPatience& patience);

  // When wait() has returned.

  /// ENOMEM where descriptors or memory ran out.
  [[nodiscard]] std::optional<Errno> failure();
  /// Last known are those that were only probed.
  [[nodiscard]] MappingCounts totals();
  /// Whether what was counted may be wrong: an earlier map was believed, and a process that is new
  /// maps the files.
  [[nodiscard]] bool must_count_again();
  /// The process that keeps the thread, 0 where no look had begun; and the processes still to be
  /// looked at.
  struct GivenUp {
    pid_t pid = 0;
    Phase phase = Phase::kOpening;
    std::vector<pid_t> rest;
  };
  [[nodiscard]] GivenUp given_up();
  /// A look at the rest, which continues with what this look has counted.
  [[nodiscard]] std::shared_ptr<ProcessLook> look_at(std::vector<pid_t> rest,
                                                     std::span<const pid_t> only_probed);

  /// Before run(), of a look at one process: no thread will wait for it.
  void leave_alone();

 private:
  struct Found {
    CountedSpaces::Space space;
    /// All files of the same kind that are mapped.
    std::unordered_map<FileIdentity, std::uint64_t, FileIdentityHash> files;
    std::uint32_t shared = 0;  ///< mappings
    bool by_text = false;
    bool kept = false;  ///< by a map that was open already

    void add(const MappedArea& mapped, const ProcessLook& look);
    /// Of the files that are counted.
    [[nodiscard]] std::int64_t mappings() const;
    [[nodiscard]] bool wants_steps(std::chrono::nanoseconds worked) const;
  };

  Result<Found> find_in(pid_t pid);
  Result<Found> probe(pid_t pid);
  /// Nothing where no map of it is kept, or it may not be believed.
  std::optional<Result<Found>> find_by_kept_map(pid_t pid);
  /// `tid`: a thread of the process `pid`.
  Result<Found> find_in_task(pid_t pid, pid_t tid);
  /// `by_text`: in short steps, or because the kernel answers no queries.
  Result<Found> walk(MemoryMap& map, pid_t pid, pid_t tid, bool by_text);
  /// Whether it is one of distinct_.
  [[nodiscard]] bool is_known(const CountedSpaces::Space& space) const;
  void look();
  /// Notes what was found of a process that may be at rest.
  void note_rest(pid_t pid, std::uint64_t switches, const Result<Found>& found);
  /// Notes what a map has shown. False where must_count_again().
  bool note_use(const Found& found) REQUIRES(mutex_);
  void count(CountedSpaces::Space space, CountedSpaces::Order order) REQUIRES(mutex_);
  [[nodiscard]] bool too_late(LookPatience& patience) const REQUIRES(mutex_);

  KernelFeatures features_;  ///< a copy: a lost thread may outlive the counter
  const std::shared_ptr<KnownMappings> memory_;
  const std::vector<FileIdentity> files_;
  const std::size_t first_probed_;  ///< of pids_
  const std::vector<pid_t> pids_;
  const Times times_;
  const std::shared_ptr<const DistinctProcesses> distinct_;
  std::unordered_map<std::uint64_t, std::vector<std::size_t>> places_;  ///< of files_, by inode
  std::vector<std::uint64_t> devices_;                                  ///< of files_

  Mutex mutex_;
  Condition ended_;
  std::size_t at_ GUARDED_BY(mutex_) = 0;  ///< of pids_
  std::atomic<Phase> phase_{Phase::kOpening};
  Clock::time_point since_ GUARDED_BY(mutex_) = Clock::now();
  pid_t tid_ GUARDED_BY(mutex_) = 0;
  std::chrono::nanoseconds work_then_ GUARDED_BY(mutex_){
      0};  ///< of the thread, when it came to the process
  /// What looks that took long have cost, and no patience was charged for yet.
  std::chrono::nanoseconds long_work_ GUARDED_BY(mutex_){0};
  bool done_ GUARDED_BY(mutex_) = false;
  std::atomic<bool> given_up_{false};     ///< changed with mutex_ held
  bool late_ GUARDED_BY(mutex_) = false;  ///< KnownMappings has been told so
  bool alone_ = false;
  bool kept_counted_ GUARDED_BY(mutex_) = false;  ///< by a map that was open already
  bool new_counted_ GUARDED_BY(mutex_) = false;   ///< a process that is not known to be distinct
  Phase given_up_in_ GUARDED_BY(mutex_) = Phase::kOpening;
  std::optional<Errno> failure_ GUARDED_BY(mutex_);
  // Only the look's thread uses these, while it compares: no lock.
  CountedSpaces::Space current_;
  CountedSpaces counted_;
  struct Resting {
    pid_t pid = 0;
    std::uint64_t switches = 0;
    std::vector<MappedFile> mapped;
  };
  std::vector<Resting> resting_;  ///< perhaps
  bool any_refused_ = false;      ///< a process whose map we may not see
  MappingCounts totals_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
