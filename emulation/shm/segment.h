// Segment: one shared memory segment, struct shmid_kernel of ipc/shm.c.
//
// There is no shm_nattch here: who maps the memory is asked of the kernel (BackingMemory::in_use,
// Host::count_mappings).
//
// Thread rule: id, size, cpid and memory are immutable once it is in a registry. `perm` and ctime
// are guarded by the registry's lock. Attach and detach stamps are atomic, because attaching holds
// that lock only while it decides.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "emulation/ipc/ipc_perm.h"
#include "emulation/memmap/backing_memory.h"

namespace shmvisor {

class Segment {
 public:
  Segment(int id, const IpcPerm& initial_perm, std::uint64_t size_bytes, pid_t cpid,
          std::int64_t now_seconds, std::unique_ptr<BackingMemory> memory)
      : perm(initial_perm),
        ctime_seconds(now_seconds),
        id_(id),
        size_bytes_(size_bytes),
        cpid_(cpid),
        memory_(std::move(memory)) {}

  [[nodiscard]] int id() const { return id_; }
  /// shm_segsz: the size asked for, not rounded.
  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  /// What it counts against shmall.
  [[nodiscard]] std::uint64_t size_pages() const { return (size_bytes_ + 4095) / 4096; }
  [[nodiscard]] pid_t cpid() const { return cpid_; }
  [[nodiscard]] BackingMemory& memory() const { return *memory_; }

  [[nodiscard]] std::int64_t atime_seconds() const { return atime_seconds_; }
  [[nodiscard]] std::int64_t dtime_seconds() const { return dtime_seconds_; }
  [[nodiscard]] pid_t lpid() const { return lpid_; }

  /// __shm_open(): what an attach leaves behind.
  void attached(pid_t pid, std::int64_t now_seconds) {
    atime_seconds_ = now_seconds;
    lpid_ = pid;
  }
  /// shm_close(): what a detach leaves behind.
  void detached(pid_t pid, std::int64_t now_seconds) {
    dtime_seconds_ = now_seconds;
    lpid_ = pid;
  }

  IpcPerm perm;
  std::int64_t ctime_seconds;
  /// Real uid that the locked pages are charged to; meaningful while SHM_LOCKED is set.
  uid_t locked_by = 0;

 private:
  const int id_;
  const std::uint64_t size_bytes_;
  const pid_t cpid_;
  const std::unique_ptr<BackingMemory> memory_;
  std::atomic<std::int64_t> atime_seconds_{0};
  std::atomic<std::int64_t> dtime_seconds_{0};
  std::atomic<pid_t> lpid_{0};
};

}  // namespace shmvisor
