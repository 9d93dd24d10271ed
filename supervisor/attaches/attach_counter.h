// AttachCounter: who maps a segment, counted when somebody asks.
//
// Each process of a ProcessScope is looked at (ProcessLook), in a thread that may be lost there; to
// what ordinary processes take, others can add 45 ms to a count, and 1 ms each. A process that
// keeps a thread is left out until that has come back, and counts for what is known of it: in the
// middle of an exec it maps nothing any more, as to the kernel; where its memory map is locked or
// too long, for what it mapped when it last let us look. MappingCounts::complete says whether there
// was such a one.
//
// A process with very many mappings (a look takes more than half a millisecond) is looked at while
// somebody waits only if it is known to map one of the files, by the last look or by an attach
// since then; of others is remembered for a while that they do not. One with still more (25 ms)
// counts as in its last look, which is made again now and then.
//
// A process whose maps we may not read counts for nothing, and one that forks and ends meanwhile
// may hide its child: Registry::count_attaches() looks again where that leaves nobody.
//
// Many who ask at the same time share a count (SharedCounts): those for whom such a process is
// looked at one count, all others another.
//
// Thread rule: any thread. It may be destroyed while threads are lost.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
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
  /// How long a count may take on a machine that is busy, or where there are very many processes.
  static constexpr std::chrono::milliseconds kMostTime{10000};

  AttachCounter(KernelFeatures& features, const ProcessScope& scope,
                std::chrono::milliseconds most_time = kMostTime)
      : features_(features),
        scope_(scope),
        most_time_(most_time),
        memory_(std::make_shared<KnownMappings>()) {}

  /// Mappings (VMAs) of each file, as shm_nattch counts them. One walk, however many files.
  /// ENOMEM: out of descriptors, memory or threads; or a process could not be looked at in that
  /// time, and nothing is known of it.
  [[nodiscard]] Result<MappingCounts> count_mappings(std::span<const FileIdentity> files);

  /// Whether the last count took longer than others shall wait for one, or somebody keeps a thread.
  [[nodiscard]] bool takes_long() const { return took_long_.load() || memory_->lost() != 0; }

  /// The process has attached the file, which it may not have mapped before.
  void note_attach(pid_t pid, const FileIdentity& file) { memory_->note_attach(pid, file); }

  /// Threads that are lost.
  [[nodiscard]] int lost() const { return memory_->lost(); }

 private:
  [[nodiscard]] Result<MappingCounts> count_now(std::span<const FileIdentity> files) const;
  /// Which of `all` are to be looked at; the others are added to `counts`.
  [[nodiscard]] std::vector<pid_t> processes_to_look_at(const std::vector<pid_t>& all,
                                                        std::span<const FileIdentity> files,
                                                        MappingCounts& counts) const;
  void add_known(pid_t pid, std::span<const FileIdentity> files, MappingCounts& counts) const;
  /// The same of one that there is no time for. False where nothing is known of it.
  [[nodiscard]] bool add_last_seen(pid_t pid, std::span<const FileIdentity> files,
                                   MappingCounts& counts) const;
  void refresh(pid_t pid, std::span<const FileIdentity> files) const;

  KernelFeatures& features_;
  const ProcessScope& scope_;
  const std::chrono::milliseconds most_time_;
  const std::shared_ptr<KnownMappings> memory_;
  [[nodiscard]] SharedCounts::Count counting() {
    return [this](std::span<const FileIdentity> files) { return count_now(files); };
  }

  std::atomic<bool> took_long_{true};
  SharedCounts counts_{counting(), {.quick = 2, .most = 4}};
  SharedCounts long_counts_{counting(), {.quick = 1, .most = 2}};
};

}  // namespace shmvisor
