// KnownMappings: what a AttachCounter remembers of processes from one count to the next: where a
// look failed to end in time, and what the last look that did end has found.
//
// It is shared with threads that are lost in a look, and lives until the last has come back.
//
// Bounds: of one process 4096 files, of all 4096 processes; who is over is forgotten with the next
// count. Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "emulation/memmap/backing_memory.h"
#include "policy/base/mutex.h"
#include "supervisor/tasks/losable_threads.h"

namespace shmvisor {

/// One file, and how often a process maps it.
struct MappedFile {
  FileIdentity file;
  std::uint64_t mappings = 0;
};

[[nodiscard]] std::uint64_t mappings_of(const FileIdentity& file,
                                        std::span<const MappedFile> files);

class KnownMappings {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kMostFiles = 4096;
  static constexpr std::size_t kMostProcesses = 4096;

  /// Where a look at a process stands.
  enum class Phase : std::uint8_t {
    kOpening,    ///< waits while the process is in the middle of an exec
    kWalking,    ///< waits while the process changes its memory map
    kComparing,  ///< all is found; is the address space another's too?
  };

  /// What is known of a process without a look.
  struct Known {
    std::vector<MappedFile> files;
    /// A look takes long. What is known is good for a while.
    bool slow = false;
    /// So long that nobody waits for another, whatever it maps.
    bool too_slow = false;
    bool needs_refreshing = false;
    /// A thread is in it. In kOpening it maps nothing any more: exec(2) has given the old memory up
    /// (begin_new_exec() of fs/exec.c), and the kernel counts no attach either.
    std::optional<Phase> late;

    [[nodiscard]] std::uint64_t mappings_of(const FileIdentity& file) const {
      return shmvisor::mappings_of(file, files);
    }
  };

  /// Nothing where the next look tells all.
  [[nodiscard]] std::optional<Known> known_of(pid_t pid);
  /// Whether an earlier look has told anything.
  [[nodiscard]] bool knows(pid_t pid) const;
  /// What the last look at the process found, however long that took; nothing where none has found
  /// anything. The pid may be another process's by now.
  [[nodiscard]] std::optional<std::vector<MappedFile>> last_seen(pid_t pid) const;
  /// Whether a process that takes long is to be looked at for these.
  [[nodiscard]] bool takes_long(std::span<const FileIdentity> files) const;

  /// A look at a process, for as long as this is there.
  class Looking {
   public:
    Looking(KnownMappings& memory, pid_t pid) : memory_(memory), pid_(pid) {
      memory_.begin_look(pid_);
    }
    Looking(const Looking&) = delete;
    Looking& operator=(const Looking&) = delete;
    ~Looking() { memory_.end_look(pid_); }

   private:
    KnownMappings& memory_;
    const pid_t pid_;
  };
  /// It has attached the file just now. A look that goes on may have missed that.
  void note_attach(pid_t pid, const FileIdentity& file);
  /// Of a look that has ended (Looking), `took` of CPU time ago.
  void remember(pid_t pid, std::vector<MappedFile> files, std::chrono::nanoseconds took);
  /// A thread has been given up in a look at it, until end_late().
  void begin_late(pid_t pid, Phase phase);
  void end_late(pid_t pid);
  /// Whether a thread may be lost in it (LosableThreads).
  [[nodiscard]] bool may_look_at(pid_t pid) const;
  [[nodiscard]] int lost() const;
  /// Forgets those who are none of these.
  void prune(std::span<const pid_t> living);

 private:
  struct Record {
    /// Of /proc/PID, which no later process of that pid has; 0 where no look at it took long.
    std::uint64_t inode = 0;
    std::vector<MappedFile> files;
    std::chrono::nanoseconds took{0};
    Clock::time_point when;
    /// Looks in a row that took too long. A machine whose CPUs are taken away by its host makes one
    /// of any process take long; not several.
    int slow_looks = 0;

    [[nodiscard]] bool slow() const;
    [[nodiscard]] bool too_slow() const;
  };

  struct Look {
    int looks = 0;
    std::vector<FileIdentity> attached;  ///< meanwhile
  };

  struct Late {
    Phase phase = Phase::kOpening;
    std::vector<LosableThreads::Payer> payers;  ///< one for each thread
  };

  void begin_look(pid_t pid);
  void end_look(pid_t pid);
  [[nodiscard]] LosableThreads::Payer payer_of(pid_t pid) const;

  mutable Mutex mutex_;
  std::unordered_map<pid_t, Record> records_ GUARDED_BY(mutex_);
  std::unordered_map<pid_t, Look> looks_ GUARDED_BY(mutex_);
  std::unordered_map<pid_t, Late> late_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
