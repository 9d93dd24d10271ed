// Segment: one shared memory segment, struct shmid_kernel of ipc/shm.c.
//
// There is no shm_nattch here: who maps the memory is asked of the kernel (BackingMemory::in_use,
// Host::count_mappings). What mappings leave behind here is their stamps.
//
// Thread rule: id, size and memory are immutable once it is in a registry. What can change, its
// SegmentState, is seen and changed through the registry alone, which guards it (RegistryState).
// Attach and detach stamps have a lock of their own, because an attach holds the registry's lock
// only while it decides.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "emulation/abi/pages.h"
#include "emulation/ipc/ipc_perm.h"
#include "emulation/ipc/viewpoint.h"
#include "emulation/memmap/backing_memory.h"
#include "emulation/memmap/mapping_actor.h"
#include "policy/base/mutex.h"

namespace shmvisor {

/// The thread that created a segment, for kernel.shm_rmid_forced: whether it lives can be asked of
/// the Host. `unique` is never used twice, unlike `tid`; 0 where the kernel has no such number.
struct CreatorThread {
  pid_t tid = 0;
  std::uint64_t unique = 0;

  friend bool operator==(const CreatorThread&, const CreatorThread&) = default;
};

/// What the last attach and detach left behind. Times in seconds since the epoch, 0 for never.
struct AttachStamps {
  std::int64_t atime = 0;
  std::int64_t dtime = 0;
  PidRecord lpid;
};

/// What can change of a segment by more than its mappings: RegistryState::of().
struct SegmentState {
  IpcPerm perm;
  std::int64_t ctime_seconds = 0;
  /// Nothing once the thread was seen dead (shm_creator of the kernel).
  std::optional<CreatorThread> creator;
  /// Real uid that the locked pages are charged to; meaningful while SHM_LOCKED is set.
  uid_t locked_by = 0;
};

/// Told when the stamps of a segment change, or when it is attached for the first time.
class StampObserver {
 public:
  StampObserver() = default;
  StampObserver(const StampObserver&) = delete;
  StampObserver& operator=(const StampObserver&) = delete;
  virtual ~StampObserver() = default;

  /// With a lock of the segment's held. `place`: as Segment::observe_stamps() had it.
  virtual void stamped(std::uint32_t place, const AttachStamps& stamps,
                       bool was_opened) noexcept = 0;
};

class Segment {
 public:
  struct Creation {
    int id = 0;
    IpcPerm perm;
    std::uint64_t size_bytes = 0;
    PidRecord cpid;
    std::optional<CreatorThread> creator = CreatorThread();
    uid_t account = 0;  ///< Caller::account()
    std::int64_t now_seconds = 0;
  };

  Segment(Creation creation, std::unique_ptr<BackingMemory> memory)
      : state_{creation.perm, creation.now_seconds, creation.creator},
        id_(creation.id),
        account_(creation.account),
        size_bytes_(creation.size_bytes),
        cpid_(std::move(creation.cpid)),
        memory_(std::move(memory)) {}
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  [[nodiscard]] int id() const { return id_; }
  /// shm_segsz: the size asked for, not rounded.
  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  /// What it counts against shmall.
  [[nodiscard]] std::uint64_t size_pages() const { return pages_of(size_bytes_); }
  /// Whose it is where something is counted by users, Caller::account().
  [[nodiscard]] uid_t account() const { return account_; }
  [[nodiscard]] const PidRecord& cpid() const { return cpid_; }
  [[nodiscard]] BackingMemory& memory() const { return *memory_; }

  /// Whether anybody attaches it just now, holds a description of it, or maps it.
  [[nodiscard]] bool in_use() const { return openings_.load() != 0 || memory_->in_use(); }

  /// An attach begins that has no description yet: shm_nattch++ of do_shmat(). With the registry's
  /// lock held. To be followed by Registry::end_opening().
  void begin_opening() {
    openings_.fetch_add(1);
    if (was_opened_.load()) return;
    was_opened_.store(true);
    tell_of_stamps();
  }
  void end_opening() { openings_.fetch_sub(1); }
  /// Whether an attach has begun since forget_openings(). Then a segment that is not in use has
  /// been in use.
  [[nodiscard]] bool was_opened() const { return was_opened_.load(); }
  void forget_openings() {
    was_opened_.store(openings_.load() != 0);
    tell_of_stamps();
  }
  /// Of a segment that comes back, before it is in a registry.
  void set_was_opened(bool opened) { was_opened_.store(opened); }

  /// Whether its last mapping ends it: SegmentFiles::watch().
  [[nodiscard]] bool ends_unmapped() const { return ends_unmapped_.load(); }
  void set_ends_unmapped(bool ends) { ends_unmapped_.store(ends); }
  /// The number of the FreeingMemory ticket that ends when its memory is free; 0 while it is in a
  /// registry.
  [[nodiscard]] std::uint64_t freeing() const { return freeing_.load(); }
  void set_freeing(std::uint64_t ticket) { freeing_.store(ticket); }

  /// Locks its memory, or lets it go, as `wanted` says, which is asked when nobody else does this.
  void renew_lock(const std::function<LockMode()>& wanted);

  [[nodiscard]] AttachStamps stamps() const;
  /// From now on `observer` is told of them, if it is not null, and of what they are now.
  void observe_stamps(StampObserver* observer, std::uint32_t place) noexcept;

  // What is known of mappings that come and go: not of a fork, an exit or a munmap, which the
  // kernel does not announce. So it is who was last, never how many.

  /// A mapping was made: __shm_open(). To the kernel a copy of one is an attach too.
  void note_attach(const MappingActor& by) noexcept;
  /// A mapping is gone: shm_close().
  void note_detach(const MappingActor& by) noexcept;

  enum class Change : std::uint8_t { kAttach, kDetach };
  /// As note_attach() or note_detach(), for a change that the caller completes by itself and may
  /// fail to. Returns the number by which retract() knows the change.
  [[nodiscard]] std::uint64_t note_provisionally(Change change, const MappingActor& by) noexcept;
  /// The change `number` did not happen. Changes that others made since then stay; after
  /// kMostRecent of them the change `number` stays too.
  void retract(std::uint64_t number);

 private:
  friend class RegistryState;  // to which the registry's lock belongs

  struct Recent {
    std::uint64_t number = 0;  ///< 0: for good
    Change change;
    MappingActor by;

    void apply_to(AttachStamps& stamps) const;
  };
  /// So many changes are remembered: those that may be retracted, and what came after them.
  static constexpr std::size_t kMostRecent = 16;
  void note(std::uint64_t number, Change change, const MappingActor& by) REQUIRES(stamps_mutex_);
  void fold_recent() REQUIRES(stamps_mutex_);
  [[nodiscard]] AttachStamps stamps_now() const REQUIRES(stamps_mutex_);
  void tell_of_stamps() noexcept;
  void tell() noexcept REQUIRES(stamps_mutex_);

  SegmentState state_;
  const int id_;
  const uid_t account_;
  const std::uint64_t size_bytes_;
  const PidRecord cpid_;
  const std::unique_ptr<BackingMemory> memory_;
  std::atomic<int> openings_{0};
  std::atomic<bool> was_opened_{false};
  std::atomic<bool> ends_unmapped_{false};
  std::atomic<std::uint64_t> freeing_{0};
  Mutex locking_mutex_;
  mutable Mutex stamps_mutex_;
  AttachStamps settled_ GUARDED_BY(stamps_mutex_);
  std::vector<Recent> recent_ GUARDED_BY(stamps_mutex_);  ///< oldest first
  std::uint64_t last_number_ GUARDED_BY(stamps_mutex_) = 0;
  StampObserver* stamp_observer_ GUARDED_BY(stamps_mutex_) = nullptr;  ///< mostly null
  std::uint32_t stamp_place_ GUARDED_BY(stamps_mutex_) = 0;
};

}  // namespace shmvisor
