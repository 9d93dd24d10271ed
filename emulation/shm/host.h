// Host: what the registry needs of the machine it runs on.
//
// The emulation decides what the kernel would decide; it has no clock, no /proc and no descriptors
// of its own. supervisor/memory/machine implements this, tests fake it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "emulation/ipc/denial.h"
#include "emulation/memmap/backing_memory.h"
#include "emulation/shm/segment.h"
#include "policy/base/result.h"

namespace shmvisor {

struct BackingRequest {
  std::string name;  ///< "SYSV%08x" of the key, as the kernel names it
  std::uint64_t size_bytes = 0;
  bool reserve = true;  ///< charge the whole size now (no SHM_NORESERVE)
  bool commit = false;  ///< allocate all pages now, whatever `reserve` says
  bool huge = false;
  unsigned huge_size_log2 = 0;  ///< 0: the default huge page size
  std::uint64_t huge_page_bytes = 0;
  uid_t account = 0;  ///< Caller::account()
};

/// What a look at all processes found.
struct MappingCounts {
  std::vector<std::uint64_t> of_files;  ///< in the order of the files asked for
  /// Every process let itself be looked at. Where not, there are at least so many mappings.
  bool complete = true;
  /// What was taken for the mappings of a file in one process.
  struct OfFile {
    std::size_t place = 0;  ///< of of_files
    std::uint64_t mappings = 0;
  };
  /// A process that was not looked at. There may be as many of these as processes, and each count
  /// is of as many files as there are segments: only those files that it is taken to map.
  struct LastKnown {
    pid_t pid = 0;
    std::vector<OfFile> mapped;
  };
  std::vector<LastKnown> last_known = {};
};

class Host {
 public:
  Host() = default;
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  virtual ~Host() = default;

  /// Bytes of a huge page of size 2^size_log2, 0 for the default one. EINVAL where there is none.
  [[nodiscard]] virtual Result<std::uint64_t> huge_page_bytes(unsigned size_log2) = 0;
  /// vm.hugetlb_shm_group: who may use huge pages without CAP_IPC_LOCK.
  [[nodiscard]] virtual gid_t hugetlb_shm_group() = 0;

  /// May take long: to be called without a lock. Errors: those of newseg(): ENOMEM, EINVAL (unknown
  /// huge page size, size out of range), and ENOSPC when we run out of descriptors, or of room for
  /// what is committed.
  /// `denial`: which limit of the host's it was, where it was one.
  [[nodiscard]] virtual Result<std::unique_ptr<BackingMemory>> create_memory(
      const BackingRequest& request, Denial& denial) = 0;
  [[nodiscard]] Result<std::unique_ptr<BackingMemory>> create_memory(
      const BackingRequest& request) {
    Denial untold;
    return create_memory(request, untold);
  }

  /// shm_nattch of each file, as the kernel counts it: mappings (VMAs) in all processes we serve,
  /// an address space that several processes share counted once. Takes bounded time, whatever those
  /// processes do. `waiting`: as in count_at_once(), a process that counts as it is now, whatever
  /// other processes do, unless it maps so much that to look at it takes 5 ms of CPU time; 0: none.
  /// ENOMEM: descriptors, memory or threads for it are short.
  [[nodiscard]] virtual Result<MappingCounts> count_mappings(std::span<const FileIdentity> files,
                                                             pid_t waiting) = 0;

  /// Whether count_mappings() is likely to take so long that other calls shall go ahead meanwhile.
  [[nodiscard]] virtual bool counting_takes_long() { return true; }

  /// The process maps the memory from now on, or is about to: what a count remembers of it may not
  /// show that.
  virtual void note_attach([[maybe_unused]] const PidRecord& process,
                           [[maybe_unused]] const BackingMemory& memory) noexcept {}

  /// Whether the thread that created a segment has not ended yet.
  [[nodiscard]] virtual bool thread_lives(const CreatorThread& thread) = 0;

  /// From now on take_released() names `memory` whenever its last description may have gone.
  virtual void watch_release(const BackingMemory& memory) = 0;
  virtual void unwatch_release(const BackingMemory& memory) = 0;
  /// Up to `most` of those that may have been released: a hint to look again, not a proof. One may
  /// be named again for a while.
  [[nodiscard]] virtual std::vector<FileIdentity> take_released(std::size_t most) = 0;

  /// Has `free` run in a thread that nobody waits for. It must own all that it uses. `account`: of
  /// whoever created what it frees.
  virtual void free_aside(uid_t account, std::function<void()> free) = 0;

  /// Seconds since the epoch, ktime_get_real_seconds().
  [[nodiscard]] virtual std::int64_t now_seconds() = 0;

  /// count_mappings() of one file, where it can be told without waiting for any process but
  /// `waiting`, whose call is being served (Caller::waiting_process()); nothing, where it is to be
  /// counted. Never 0.
  [[nodiscard]] virtual std::optional<std::uint64_t> count_at_once(
      [[maybe_unused]] const FileIdentity& file, [[maybe_unused]] pid_t waiting) {
    return std::nullopt;
  }
};

}  // namespace shmvisor
