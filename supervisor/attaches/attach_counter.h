// AttachCounter: counts, when asked, how often the served processes map a segment.
//
// Each process of a ProcessScope is looked at (ProcessLook), in a thread that may be lost. Beyond
// the time that ordinary processes take, hostile processes can add 37 ms to a count, and 1 ms each
// until their first look has ended; where these are more than 32, 25 ms each. A process whose first
// look is given up counts for what it maps where others map it (ProcessLook), or attached itself.
// A process that keeps a thread is left out until that thread has come back. Meanwhile it counts as
// last known: in the middle of an exec it maps nothing, as in the kernel's count; where its memory
// map is locked or too long, it maps what the last look found. Before that it has a last chance: at
// the end of a count that has not taken long the looks that were given up are waited for, 4 ms for
// all of them, but for those at slow processes. A lock of ours may have kept them, or the want of a
// CPU. MappingCounts says whether all processes could be looked at, and what was taken
// for the others' mappings.
//
// The process whose call asks for the count, and which waits in it, counts as it is now, whatever
// other processes do: where the count did not look at it, the thread that serves the call does, for
// up to 5 ms of CPU time. If it maps more than can be seen in that time it counts as last known; so
// it does on kernels without PROCMAP_QUERY.
//
// A slow process (a look takes more than half a millisecond) is looked at during a count only if it
// is known to map one of the files, by the last look or by an attach since. Otherwise its last look
// holds for a while. All slow processes of a count together have 25 ms of CPU time, and 3 µs for
// each mapping that is counted. When these are used up, the others count as in their last looks;
// the next count begins with the oldest of these. A very slow process (25 ms) counts as in its last
// look, which is repeated now and then.
//
// A process whose maps we may not read counts for nothing. A process that forks and ends during a
// count may hide its child: Registry::count_attaches() counts again where the result is 0.
//
// Callers that ask at the same time share a count (SharedCounts): one count for callers that need a
// look at a slow process, another for all others.
//
// Ownership: may be destroyed while threads are lost. Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "emulation/memmap/backing_memory.h"
#include "emulation/shm/host.h"
#include "supervisor/attaches/known_mappings.h"
#include "supervisor/attaches/shared_counts.h"
#include "supervisor/kernel/features.h"
#include "supervisor/scope/process_scope.h"

namespace shmvisor {

class AttachCounter {
 public:
  /// The most time that a count takes on a busy machine, or with very many processes.
  static constexpr std::chrono::milliseconds kMostTime{10000};

  AttachCounter(KernelFeatures& features, const ProcessScope& scope,
                std::chrono::milliseconds most_time = kMostTime)
      : features_(features),
        scope_(scope),
        most_time_(most_time),
        memory_(std::make_shared<KnownMappings>()) {}

  /// Mappings (VMAs) of each file, as shm_nattch counts them. One pass serves all files. ENOMEM:
  /// out of descriptors, memory or threads; or a process could not be looked at in kMostTime, and
  /// no earlier look is known. `waiting`: as in count_at_once(). Where the process was not looked
  /// at, it is asked in the calling thread; 0: none.
  [[nodiscard]] Result<MappingCounts> count_mappings(std::span<const FileIdentity> files,
                                                     pid_t waiting = 0);

  /// The same of one file, without a wait for any process but `waiting`: where that one alone is
  /// served, or all others are at rest (KeptMaps). `waiting` waits in a call that the
  /// calling thread serves, and can keep that thread by a copy of its answer just as well. Nothing
  /// where count_mappings() is to be asked; never 0.
  [[nodiscard]] std::optional<std::uint64_t> count_at_once(const FileIdentity& file, pid_t waiting);

  /// Whether the last count took too long for other calls to wait for one, or a process keeps a
  /// thread.
  [[nodiscard]] bool takes_long() const { return took_long_.load() || memory_->lost() != 0; }

  /// Notes that the process has attached the file, which it may not have mapped before.
  void note_attach(pid_t pid, const FileIdentity& file) {
    memory_->note_attach(pid, file);
    scope_.note_served(pid);
  }

  /// Threads that are lost.
  [[nodiscard]] int lost() const { return memory_->lost(); }

 private:
  struct Chosen {
    std::vector<pid_t> pids;
    std::vector<pid_t> unseen;  ///< whose first look was given up: they are only probed
    std::vector<pid_t> late;    ///< at which a look goes on that was given up
    std::size_t at_rest = 0;    ///< processes that need no look (KeptMaps)
  };

  [[nodiscard]] Result<MappingCounts> count_now(std::span<const FileIdentity> files) const;
  /// Which of `all` are to be looked at; the others are added to `counts`.
  [[nodiscard]] Chosen processes_to_look_at(const std::vector<pid_t>& all,
                                            std::span<const FileIdentity> files,
                                            MappingCounts& counts) const;
  [[nodiscard]] bool may_probe(const std::optional<KnownMappings::Known>& known) const;
  /// Adds a process that there is no time to look at. False where no earlier look is known.
  [[nodiscard]] bool add_last_seen(pid_t pid, std::span<const FileIdentity> files,
                                   MappingCounts& counts) const;
  /// Adds processes at which looks go on, by these where they end soon.
  void add_late(std::span<const pid_t> pids, KnownMappings::Clock::time_point listed,
                std::span<const FileIdentity> files, MappingCounts& counts) const;
  /// Puts what the process maps now in the place of what was last known of it.
  void count_waiting(pid_t waiting, std::span<const FileIdentity> files,
                     MappingCounts& counts) const;
  /// Adds a process that takes long to look at, by its last look.
  void add_slow(pid_t pid, const std::optional<KnownMappings::Known>& known,
                std::span<const FileIdentity> files, MappingCounts& counts) const;
  /// The same of all such processes among `pids`, which keeps the others.
  void leave_out_slow(std::vector<pid_t>& pids, std::span<const FileIdentity> files,
                      MappingCounts& counts) const;
  [[nodiscard]] std::optional<std::uint64_t> try_at_once(const FileIdentity& file,
                                                         pid_t waiting) const;
  void refresh(pid_t pid, std::span<const FileIdentity> files) const;

  KernelFeatures& features_;
  const ProcessScope& scope_;
  const std::chrono::milliseconds most_time_;
  const std::shared_ptr<KnownMappings> memory_;
  [[nodiscard]] SharedCounts::Count counting() {
    return [this](std::span<const FileIdentity> files) { return count_now(files); };
  }

  std::atomic<bool> took_long_{true};
  // Calls of count_at_once() that are left out after a call that failed. Several threads change
  // the numbers, which are rough.
  std::atomic<std::uint8_t> left_out_{0};
  std::atomic<std::uint8_t> to_leave_out_{0};
  SharedCounts counts_{counting(), {.quick = 2, .most = 4}};
  SharedCounts long_counts_{counting(), {.quick = 1, .most = 2}};
};

}  // namespace shmvisor
