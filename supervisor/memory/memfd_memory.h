// MemfdMemory: a segment's pages in a memfd, memfd_create(2).
//
// Size: sealed against shrinking and growing. Rights: the file belongs to us and has mode 0600, so
// that no other user can turn a read-only description into a writable one through /proc/self/fd.
// Every description handed out is opened anew; ours, the base, was opened anew too, because the one
// that memfd_create(2) returns does not count as a writer: only so F_SETLEASE can tell that no
// other is alive (fcntl(2); 1.6 µs). It need not be asked again until the next description is
// handed out: from none alive none can come. Where leases are forbidden (fs.leases-enable=0) each
// description has a read lock of its own, F_OFD_SETLK, which ends with it; the base has one too, so
// that no other process gets a lock that conflicts with theirs. Where the lock is refused, or
// leases are forbidden while descriptions are alive, the segment counts as in use.
//
// A process of our own user that caught a descriptor of the file can change its mode, make it
// immutable where it has the capability, have each open(2) of it wait (fanotify(7)), and keep the
// file alive by an O_PATH descriptor that no lease sees. So the mode is restored when an open is
// refused, no lock is held during an open, and the file is emptied when the segment is freed
// (discarding()).
//
// Thread rule: any thread. A lease and an open must not happen at the same time: mutex_ prevents it
// without being held during an open.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "emulation/abi/abi.h"
#include "emulation/memmap/address_range.h"
#include "emulation/memmap/backing_memory.h"
#include "emulation/shm/host.h"
#include "policy/base/mutex.h"
#include "supervisor/keeper/kept_descriptors.h"
#include "supervisor/kernel/features.h"
#include "supervisor/memory/lock_keeper.h"
#include "supervisor/memory/locked_pages.h"
#include "supervisor/memory/overcommit.h"
#include "supervisor/memory/spare_files.h"
#include "supervisor/resources/descriptor_share.h"

namespace shmvisor {

/// What a segment costs, held for as long as it lives.
struct MemoryCharges {
  CommitCharge commit;
  DescriptorShare::Part descriptor;
};

class MemfdMemory : public BackingMemory {
 public:
  /// What ftruncate(2) accepts at most.
  static constexpr std::uint64_t kLargestFileBytes = std::numeric_limits<std::int64_t>::max();

  /// `size_bytes`: in whole (huge) pages. Beyond kLargestFileBytes the file is shorter than the
  /// segment; no address space is large enough to show that. Errors: ENOMEM, EINVAL, ENOSPC (out of
  /// descriptors). `spares`: where its file may come from, and go to if nobody ever has a
  /// description of it; borrowed, null for none.
  static Result<std::unique_ptr<MemfdMemory>> create(const BackingRequest& request,
                                                     std::uint64_t size_bytes,
                                                     MemoryCharges charges, LockKeeper& lock_keeper,
                                                     KernelFeatures& features,
                                                     SpareFiles* spares = nullptr);
  /// The memory of a segment that another process of ours made: `base` is that process's base,
  /// which nobody else uses. Whatever descriptions there are may be alive.
  static std::unique_ptr<MemfdMemory> adopt(UniqueFd base, const FileIdentity& identity,
                                            const BackingRequest& request, std::uint64_t size_bytes,
                                            MemoryCharges charges, LockKeeper& lock_keeper,
                                            KernelFeatures& features);
  ~MemfdMemory() override;

  [[nodiscard]] FileIdentity identity() const override { return identity_; }
  [[nodiscard]] std::string name() const override { return "/memfd:" + name_ + " (deleted)"; }
  [[nodiscard]] std::uint64_t mapped_size_bytes() const override { return size_bytes_; }
  [[nodiscard]] bool is_huge() const override { return huge_; }
  [[nodiscard]] bool is_committed() const override { return committed_; }
  /// Of a huge page, or of the system's.
  [[nodiscard]] std::uint64_t page_bytes() const { return page_bytes_; }
  /// Whether the whole size was charged when it was made, without SHM_NORESERVE.
  [[nodiscard]] bool is_reserved() const { return reserved_; }
  /// The number of our base, and the key after which the memory is named: for adopt().
  [[nodiscard]] int descriptor() const { return base_->get(); }
  [[nodiscard]] key_t name_key() const;
  [[nodiscard]] Result<BackingFile> open(const Access& maximum) override;
  /// A descriptor (O_PATH) by which a process of our user opens the file for itself, for moments.
  /// It is no description, and does not keep the segment in use. Errors: ENOMEM.
  [[nodiscard]] Result<UniqueFd> reference();
  [[nodiscard]] bool in_use() override;
  [[nodiscard]] PageUsage usage() override;
  void lock(LockMode mode) override;
  [[nodiscard]] std::function<void()> discarding() override;
  void discard() override;

  /// A path that leads to the file while this lives: "/proc/self/fd/N".
  [[nodiscard]] std::string path() const;

 private:
  MemfdMemory(SpareFiles::File file, const BackingRequest& request, std::uint64_t size_bytes,
              MemoryCharges charges, LockKeeper& lock_keeper, KernelFeatures& features,
              SpareFiles* spares)
      : base_(std::move(file.base)),
        kept_(std::in_place, base_->get()),
        name_(std::move(file.name)),
        identity_(file.identity),
        size_bytes_(size_bytes),
        page_bytes_(page_bytes_of(request)),
        huge_(request.huge),
        committed_(request.commit),
        reserved_(request.reserve),
        charges_(std::move(charges)),
        lock_keeper_(lock_keeper),
        features_(features),
        spares_(spares) {}

  /// What remains to be done for the pages to be free.
  struct Discarding {
    std::shared_ptr<const UniqueFd> base;
    std::shared_ptr<LockedPages> locked;
    bool may_be_kept = false;
    off_t size_bytes = 0;

    void operator()();
  };
  /// Nothing where the end of this object frees all. Needs no memory.
  std::optional<Discarding> begin_discarding();

  [[nodiscard]] static std::uint64_t page_bytes_of(const BackingRequest& request) {
    return request.huge ? request.huge_page_bytes : kPageBytes;
  }
  /// The segment's size, at most that of the largest file.
  [[nodiscard]] static off_t file_size_bytes(std::uint64_t size_bytes, std::uint64_t page_bytes) {
    return static_cast<off_t>(std::min(size_bytes, kLargestFileBytes / page_bytes * page_bytes));
  }
  /// A new description, even if the file's mode was changed. Errors: those of open(2).
  [[nodiscard]] Result<UniqueFd> open_anew(int mode) const;
  /// Whether it has a lock now, by which the end of the description can be seen.
  [[nodiscard]] bool lock_description(const UniqueFd& fd) REQUIRES(mutex_);
  /// Whether another description is alive. Nothing where the kernel does not tell.
  [[nodiscard]] std::optional<bool> in_use_by_lease() REQUIRES(mutex_);
  [[nodiscard]] bool in_use_by_locks() const;

  /// A new file. Errors: as create().
  static Result<SpareFiles::File> make_file(const BackingRequest& request, std::uint64_t size_bytes,
                                            KernelFeatures& features);
  /// Whether no page of the file can be there, and nobody can have a descriptor of it.
  [[nodiscard]] bool is_as_new();

  Mutex mutex_;
  const std::shared_ptr<const UniqueFd> base_;
  std::optional<KeptDescriptor> kept_;  ///< of base_, until that may be another memory's
  const std::string name_;
  const FileIdentity identity_;
  const std::uint64_t size_bytes_;
  const std::uint64_t page_bytes_;
  const bool huge_;
  const bool committed_;
  const bool reserved_;
  const MemoryCharges charges_;
  LockKeeper& lock_keeper_;
  KernelFeatures& features_;
  /// Opens that have begun and not ended.
  int opening_ GUARDED_BY(mutex_) = 0;
  /// A description may be alive.
  bool handed_out_ GUARDED_BY(mutex_) = false;
  /// A description without a lock may be alive.
  bool handed_out_unlocked_ GUARDED_BY(mutex_) = false;
  bool base_is_locked_ GUARDED_BY(mutex_) = false;
  bool ever_handed_out_ GUARDED_BY(mutex_) = false;
  bool signal_is_set_ GUARDED_BY(mutex_) = false;  ///< the signal for a lease that is being broken
  void lock_pages(bool lazy) REQUIRES(lock_mutex_);
  /// The locked pages, where the memory was discarded and no other thread unlocks them.
  [[nodiscard]] std::shared_ptr<LockedPages> take_discarded();

  /// discarding() was called. Set before lock_mutex_ is tried, read after it was given back.
  const std::shared_ptr<std::atomic<bool>> discarded_ = std::make_shared<std::atomic<bool>>(false);
  Mutex lock_mutex_;
  std::shared_ptr<LockedPages> locked_
      GUARDED_BY(lock_mutex_);  ///< null where the pages are not locked
  std::atomic<bool> ever_locked_{false};
  SpareFiles* const spares_;  ///< null where the file is to go with this
};

}  // namespace shmvisor
