// KnownMappings: what an AttachCounter remembers of processes from one count to the next: looks
// that did not end in time, and what the last finished look found.
//
// Threads that are lost in a look share it, so that it lives until the last of them has come back.
//
// Bounds: 4096 files for each process, 4096 processes, 16 places of each of 4096 files; distinct
// processes of 16 files. Ended processes are forgotten with a later count. Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "emulation/memmap/backing_memory.h"
#include "policy/base/mutex.h"
#include "supervisor/attaches/counted_spaces.h"
#include "supervisor/attaches/mapped_file.h"
#include "supervisor/tasks/losable_threads.h"

namespace shmvisor {

class KnownMappings {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kMostFiles = 4096;
  static constexpr std::size_t kMostProcesses = 4096;
  static constexpr std::size_t kMostDistinct = 16;
  /// Of CPU time: of a process with hundreds of mappings of files, or very many others. Others are
  /// looked at whenever somebody asks.
  static constexpr std::chrono::microseconds kSlow{500};

  /// Where a look at a process stands.
  enum class Phase : std::uint8_t {
    kOpening,    ///< waits while the process is in the middle of an exec
    kWalking,    ///< waits while the process changes its memory map
    kComparing,  ///< checks whether the address space is shared
  };

  /// What is known of a process without a look.
  struct Known {
    std::vector<MappedFile> files;
    bool seen = false;  ///< a look has finished
    /// A look takes long, so that the last one holds for a while.
    bool slow = false;
    /// A look takes so long that no count waits for another one, whatever the process maps.
    bool too_slow = false;
    bool needs_refreshing = false;
    Clock::time_point when;  ///< of the last look
    /// The phase in which a thread is lost in the process. In kOpening the process maps nothing:
    /// exec(2) has dropped the old memory (begin_new_exec() of fs/exec.c), and the kernel counts no
    /// attach either.
    std::optional<Phase> late;
  };

  /// Nothing where a new look is to be made.
  [[nodiscard]] std::optional<Known> known_of(pid_t pid);
  /// Whether an earlier look has found anything.
  [[nodiscard]] bool knows(pid_t pid) const;
  /// Whether the last look took long.
  [[nodiscard]] bool is_slow(pid_t pid) const;
  /// What a look found that finished since then.
  [[nodiscard]] std::optional<std::vector<MappedFile>> seen_since(pid_t pid,
                                                                  Clock::time_point when) const;
  /// Whether the next look is to be made in steps (MapsText).
  [[nodiscard]] bool wants_steps(pid_t pid) const;
  /// What the last look at the process found, however long it took; nothing where no look has
  /// finished. Another process may have the pid by now.
  [[nodiscard]] std::optional<std::vector<MappedFile>> last_seen(pid_t pid) const;
  /// Whether last_seen() has one of the files.
  [[nodiscard]] bool mapped_one_of(pid_t pid, std::span<const FileIdentity> files) const;
  /// Whether a slow process is to be looked at for these files.
  [[nodiscard]] bool takes_long(std::span<const FileIdentity> files) const;

  /// A look at a process goes on while this object lives.
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
  /// The process has just attached the file. A look that goes on may have missed that; and the
  /// first look at it may be given up.
  void note_attach(pid_t pid, const FileIdentity& file);
  /// Whether the process, at which no look has finished, has attached the file.
  [[nodiscard]] bool attached_unseen(pid_t pid, const FileIdentity& file) const;
  /// Where a slow process maps each of the files.
  void note_places(std::span<const FileIdentity> files,
                   std::span<const std::vector<std::uint64_t>> starts);
  /// Where the slow processes that were looked at last map the file: a few addresses.
  [[nodiscard]] std::vector<std::uint64_t> places_of(const FileIdentity& file) const;
  /// Keeps what a look (Looking) found. `took`: its CPU time.
  void remember(pid_t pid, std::vector<MappedFile> files, std::chrono::nanoseconds took,
                bool wants_steps);
  /// The owner of a process, who pays for a thread that is lost in it. Reads /proc.
  [[nodiscard]] LosableThreads::Payer payer_of(pid_t pid) const;
  /// Notes that a thread is lost in a look at the process, until end_late(). `payer`: payer_of().
  void begin_late(pid_t pid, Phase phase, const LosableThreads::Payer& payer);
  void end_late(pid_t pid);
  /// Whether a look at the process may lose a thread (LosableThreads).
  [[nodiscard]] bool may_look_at(pid_t pid) const;
  [[nodiscard]] int lost() const;
  /// Processes of which a look at the file found no two to share an address space; null where there
  /// was no such look.
  [[nodiscard]] std::shared_ptr<const DistinctProcesses> distinct(const FileIdentity& file) const;
  /// Null: as before.
  void remember_distinct(const FileIdentity& file,
                         std::shared_ptr<const DistinctProcesses> processes);
  /// Forgets all processes but these.
  void prune(std::span<const pid_t> living);

 private:
  struct Record {
    /// The inode of /proc/PID, which no later process with that pid has; 0 where no look took long.
    std::uint64_t inode = 0;
    std::vector<MappedFile> files;
    std::chrono::nanoseconds took{0};
    Clock::time_point when;
    /// Looks in a row that took too long. On a virtual machine that loses its CPUs for a moment one
    /// look at any process may take long, but not several.
    int slow_looks = 0;
    bool wants_steps = false;

    [[nodiscard]] bool slow() const;
    [[nodiscard]] bool too_slow() const;
  };

  struct Look {
    int looks = 0;
    std::vector<FileIdentity> attached;  ///< meanwhile
    std::vector<FileIdentity> before;    ///< attached before it, while no look has finished
  };

  struct Late {
    Phase phase = Phase::kOpening;
    std::vector<LosableThreads::Payer> payers;  ///< one for each thread
  };

  void begin_look(pid_t pid);
  void end_look(pid_t pid);

  struct DistinctOfFile {
    FileIdentity file;
    std::shared_ptr<const DistinctProcesses> processes;
  };

  mutable Mutex mutex_;
  std::unordered_map<pid_t, Record> records_ GUARDED_BY(mutex_);
  std::unordered_map<pid_t, Look> looks_ GUARDED_BY(mutex_);
  std::unordered_map<pid_t, Late> late_ GUARDED_BY(mutex_);
  /// The newest last.
  std::unordered_map<FileIdentity, std::vector<std::uint64_t>, FileIdentityHash> places_
      GUARDED_BY(mutex_);
  std::vector<DistinctOfFile> distinct_ GUARDED_BY(mutex_);  ///< in the order of their looks
};

}  // namespace shmvisor
