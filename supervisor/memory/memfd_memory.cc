#include "supervisor/memory/memfd_memory.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <utility>

#include "emulation/abi/abi.h"
#include "policy/base/held_locks.h"
#include "supervisor/kernel/descriptor_path.h"
#include "supervisor/kernel/uapi.h"
#include "supervisor/log/limited_log.h"
#include "supervisor/log/warn_once.h"
#include "supervisor/memory/heap_trim.h"
#include "supervisor/memory/memory_room.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kBlockBytes = 512;  // of st_blocks, whatever the file system

/// The errno of a failing memfd call in shmget(2)'s terms.
Errno as_shmget_error(int error) {
  switch (error) {
    case EMFILE:
    case ENFILE: {
      static WarnOnce warn;
      warn("no new segment: out of file descriptors; raise the {} limit",
           error == EMFILE ? "RLIMIT_NOFILE (ulimit -n)" : "system-wide fs.file-max");
      return Errno(ENOSPC);
    }
    case EFBIG: {  // what a file may be at most was asked before
      static WarnOnce warn;
      warn(
          "no new segment larger than the hard RLIMIT_FSIZE (ulimit -f), which shmvisor may not "
          "raise without CAP_SYS_RESOURCE");
      return Errno(ENOSPC);
    }
    case EINVAL:
    case ENODEV:  // a huge page size that this machine lacks
      return Errno(EINVAL);
    default:
      return Errno(ENOMEM);
  }
}

UniqueFd create_memfd(const BackingRequest& request, KernelFeatures& features) {
  unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  if (request.huge) flags |= MFD_HUGETLB | (request.huge_size_log2 << MFD_HUGE_SHIFT);
  if (features.usable(KernelFeature::kNoexecSeal)) {
    UniqueFd fd(::memfd_create(request.name.c_str(), flags | MFD_NOEXEC_SEAL));
    if (fd.valid() || errno != EINVAL) return fd;
  }
  UniqueFd fd(::memfd_create(request.name.c_str(), flags));
  if (fd.valid()) features.mark_absent(KernelFeature::kNoexecSeal);
  return fd;
}

/// Allocates every page, or ENOMEM or ENOSPC. fallocate(2) calls the OOM killer before it fails,
/// so that the room is looked at first, and again before each piece. Huge pages come from a pool.
Result<void> commit_pages(int fd, std::uint64_t size_bytes, bool huge) {
  constexpr std::uint64_t kPieceBytes = std::uint64_t{64} << 20;
  // The page cache's own bookkeeping, and what everybody needs to go on.
  const std::uint64_t kept_free_bytes = (std::uint64_t{4} << 20) + size_bytes / 256;
  for (std::uint64_t done = 0; done < size_bytes;) {
    if (!huge && memory_room_bytes() < size_bytes - done + kept_free_bytes) return Errno(ENOMEM);
    const std::uint64_t piece_bytes = std::min(kPieceBytes, size_bytes - done);
    if (::fallocate(fd, 0, static_cast<off_t>(done), static_cast<off_t>(piece_bytes)) == 0) {
      done += piece_bytes;
    } else if (errno != EINTR) {
      return errno == ENOSPC && !huge ? Errno(ENOSPC) : as_shmget_error(errno);
    }
  }
  return {};
}

bool machine_swaps() {
  struct sysinfo info {};
  return ::sysinfo(&info) == 0 && info.totalswap != 0;
}

/// Undoes what a holder of a descriptor may have done to keep us out: chmod(2), chattr(1).
void restore_rights(int fd) {
  int flags = 0;
  (void)::ioctl(fd, FS_IOC_SETFLAGS, &flags);
  (void)::fchmod(fd, 0600);
}

struct flock whole_file(short type) {
  struct flock whole {};
  whole.l_type = type;
  whole.l_whence = SEEK_SET;
  return whole;
}

/// Of the open file description; false where it is refused.
bool read_lock(int fd) {
  struct flock whole = whole_file(F_RDLCK);
  return ::fcntl(fd, F_OFD_SETLK, &whole) == 0;
}

}  // namespace

Result<SpareFiles::File> MemfdMemory::make_file(const BackingRequest& request,
                                                std::uint64_t size_bytes,
                                                KernelFeatures& features) {
  const UniqueFd first = create_memfd(request, features);
  if (!first.valid()) return as_shmget_error(errno);
  if (::fchmod(first.get(), 0600) != 0 ||
      ::ftruncate(first.get(), file_size_bytes(size_bytes, page_bytes_of(request))) != 0) {
    return as_shmget_error(errno);
  }
  if (request.commit) {
    if (const auto committed = commit_pages(first.get(), size_bytes, request.huge); !committed) {
      return committed.error();
    }
  }
  if (::fcntl(first.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return as_shmget_error(errno);
  }
  UniqueFd base(::open(descriptor_path(first).c_str(), O_RDWR | O_CLOEXEC));
  if (!base.valid()) return as_shmget_error(errno);
  struct stat status {};
  if (::fstat(base.get(), &status) != 0) return as_shmget_error(errno);
  return SpareFiles::File{std::make_shared<const UniqueFd>(std::move(base)),
                          {status.st_dev, status.st_ino},
                          request.name,
                          size_bytes};
}

Result<std::unique_ptr<MemfdMemory>> MemfdMemory::create(
    const BackingRequest& request, std::uint64_t size_bytes, MemoryCharges charges,
    LockKeeper& lock_keeper, KernelFeatures& features, SpareFiles* spares) {
  if (request.huge || request.commit) spares = nullptr;
  auto spare = spares == nullptr ? std::nullopt : spares->take(request.name, size_bytes);
  auto file = spare ? Result(std::move(*spare)) : make_file(request, size_bytes, features);
  if (!file) return file.error();
  std::unique_ptr<MemfdMemory> memory(new MemfdMemory(
      std::move(*file), request, size_bytes, std::move(charges), lock_keeper, features, spares));
  if (request.huge && request.reserve && size_bytes != 0) {
    // hugetlb reserves pages for a mapping, and keeps the reservation for the file.
    const auto reserving =
        InternalMapping::of(memory->base_->get(), size_bytes, PROT_READ | PROT_WRITE);
    if (!reserving) return Errno(ENOMEM);
  }
  return memory;
}

std::unique_ptr<MemfdMemory> MemfdMemory::adopt(UniqueFd base, const FileIdentity& identity,
                                                const BackingRequest& request,
                                                std::uint64_t size_bytes, MemoryCharges charges,
                                                LockKeeper& lock_keeper, KernelFeatures& features) {
  SpareFiles::File file{std::make_shared<const UniqueFd>(std::move(base)), identity, request.name,
                        size_bytes};
  std::unique_ptr<MemfdMemory> memory(new MemfdMemory(
      std::move(file), request, size_bytes, std::move(charges), lock_keeper, features, nullptr));
  const MutexLock lock(memory->mutex_);
  memory->handed_out_ = memory->ever_handed_out_ = true;
  memory->handed_out_unlocked_ = features.usable(KernelFeature::kLeases);
  // That process may have died with one (in_use_by_lease()), which would keep who opens the file.
  (void)::fcntl(memory->base_->get(), F_SETLEASE, F_UNLCK);
  return memory;
}

key_t MemfdMemory::name_key() const {
  constexpr std::size_t kPrefix = 4;  // "SYSV"
  return static_cast<key_t>(std::strtoul(name_.c_str() + kPrefix, nullptr, 16));
}

std::string MemfdMemory::path() const { return descriptor_path(*base_); }

Result<BackingFile> MemfdMemory::open(const Access& maximum) {
  HeldLocks::assert_may_wait();
  {
    const MutexLock lock(mutex_);
    ++opening_;
  }
  Result<UniqueFd> fd = open_anew(maximum.write ? O_RDWR : O_RDONLY);
  {
    const MutexLock lock(mutex_);
    --opening_;
    if (fd) {
      if (!lock_description(*fd)) handed_out_unlocked_ = true;
      handed_out_ = ever_handed_out_ = true;
    }
  }
  if (!fd) {
    log_limited(spdlog::level::warn, LogTopic::kAttaches, LogLimiter::kNobody,
                "cannot attach: no description of segment memory: errno {}", fd.error().value());
    return Errno(ENOMEM);
  }
  return BackingFile{std::move(*fd)};
}

Result<UniqueFd> MemfdMemory::reference() {
  {
    const MutexLock lock(mutex_);
    ever_handed_out_ = true;
  }
  UniqueFd fd(::open(path().c_str(), O_PATH | O_CLOEXEC));
  if (!fd.valid()) return Errno(ENOMEM);
  return fd;
}

Result<UniqueFd> MemfdMemory::open_anew(int mode) const {
  // Bounded, against a process that takes the rights away again and again.
  constexpr int kMostTries = 100;
  Errno error(EACCES);
  for (int tries = 0; tries < kMostTries; ++tries) {
    if (tries != 0) restore_rights(base_->get());
    // O_NONBLOCK: never to wait for a lease, though no process can get one beside our own
    // description.
    UniqueFd fd(::open(path().c_str(), mode | O_CLOEXEC | O_NONBLOCK));
    if (fd.valid()) return fd;
    error = Errno::current();
    if (error != Errno(EACCES) && error != Errno(EPERM)) break;
  }
  return error;
}

bool MemfdMemory::lock_description(const UniqueFd& fd) {
  if (features_.usable(KernelFeature::kLeases)) return false;
  if (!base_is_locked_) base_is_locked_ = read_lock(base_->get());
  return base_is_locked_ && read_lock(fd.get());
}

bool MemfdMemory::in_use() {
  const MutexLock lock(mutex_);
  if (opening_ != 0) return true;
  if (!handed_out_) return false;
  // Where that cannot be told, nothing is to be taken away.
  const bool used = handed_out_unlocked_ ? in_use_by_lease().value_or(true) : in_use_by_locks();
  if (!used) handed_out_ = handed_out_unlocked_ = false;
  return used;
}

std::optional<bool> MemfdMemory::in_use_by_lease() {
  // A process that opens the file in the moment of our lease breaks it, and we are told by a
  // signal: SIGIO, which would end us, or be passed on to the command. This one is ignored. To give
  // the lease back takes it back (lease_modify() of fs/locks.c).
  if (!std::exchange(signal_is_set_, true)) (void)::fcntl(base_->get(), F_SETSIG, SIGURG);
  if (::fcntl(base_->get(), F_SETLEASE, F_WRLCK) == 0) {
    ::fcntl(base_->get(), F_SETLEASE, F_UNLCK);
    signal_is_set_ = false;
    return false;
  }
  if (errno == EAGAIN) return true;
  if (errno == EINVAL) features_.mark_absent(KernelFeature::kLeases);
  return std::nullopt;
}

bool MemfdMemory::in_use_by_locks() const {
  struct flock whole = whole_file(F_WRLCK);
  return ::fcntl(base_->get(), F_OFD_GETLK, &whole) != 0 || whole.l_type != F_UNLCK;
}

std::function<void()> MemfdMemory::discarding() {
  if (auto begun = begin_discarding()) return std::move(*begun);
  return nullptr;
}

void MemfdMemory::discard() {
  if (auto begun = begin_discarding()) (*begun)();
}

std::optional<MemfdMemory::Discarding> MemfdMemory::begin_discarding() {
  discarded_->store(true);
  // Where another thread locks the memory now, which may take long, that thread unlocks what it
  // mapped. So does one that renews the lock now (LockedPages).
  auto locked = take_discarded();
  bool may_be_kept = committed_;  // by a thread of ours that is looking at it, for a moment
  {
    const MutexLock lock(mutex_);
    may_be_kept = may_be_kept || ever_handed_out_;
  }
  if (!may_be_kept && locked == nullptr) return std::nullopt;
  return Discarding{base_, std::move(locked), may_be_kept,
                    file_size_bytes(size_bytes_, page_bytes_)};
}

void MemfdMemory::Discarding::operator()() {
  HeldLocks::assert_may_wait();
  locked.reset();
  if (may_be_kept && size_bytes != 0) punch_whole(base->get(), size_bytes);
}

std::shared_ptr<LockedPages> MemfdMemory::take_discarded() {
  if (!lock_mutex_.try_lock()) return nullptr;
  std::shared_ptr<LockedPages> taken;
  if (*discarded_ && locked_ != nullptr) {
    lock_keeper_.remove(this);
    taken = std::move(locked_);
  }
  lock_mutex_.unlock();
  return taken;
}

PageUsage MemfdMemory::usage() {
  struct stat status {};
  if (::fstat(base_->get(), &status) != 0) return {};
  PageUsage pages;
  pages.resident = static_cast<std::uint64_t>(status.st_blocks) * kBlockBytes / kPageBytes;
  if (!huge_ && machine_swaps() && features_.usable(KernelFeature::kCachestat)) {
    cachestat_range whole{};
    struct cachestat counted {};
    if (::syscall(SYS_cachestat, base_->get(), &whole, &counted, 0) == 0) {
      const std::uint64_t allocated = pages.resident;
      pages.resident = std::min<std::uint64_t>(counted.nr_cache, allocated);
      pages.swapped = allocated - pages.resident;
    } else {
      features_.mark_absent(KernelFeature::kCachestat);
    }
  }
  return pages;
}

MemfdMemory::~MemfdMemory() {
  lock_keeper_.remove(this);
  if (locked_ != nullptr) locked_->stop();
  if (is_as_new()) {
    kept_.reset();  // another memory may have the file, and keep it, at once
    spares_->keep({base_, identity_, name_, size_bytes_});
  }
  heap_trim_later();
}

bool MemfdMemory::is_as_new() {
  if (spares_ == nullptr || ever_locked_) return false;
  const MutexLock lock(mutex_);
  return !ever_handed_out_ && opening_ == 0;
}

void MemfdMemory::lock(LockMode mode) {
  {
    const MutexLock lock(lock_mutex_);
    lock_keeper_.remove(this);
    if (locked_ != nullptr) locked_->unlock();
    locked_.reset();
    if (mode == LockMode::kNone || *discarded_) return;
    try {
      lock_pages(mode == LockMode::kLazy);
    } catch (const std::bad_alloc&) {  // the segment counts as locked all the same
      log_limited(spdlog::level::info, LogTopic::kLocking, LogLimiter::kNobody,
                  "SHM_LOCK: pages may still be swapped: shmvisor is out of memory");
    }
  }
  // The segment may have gone meanwhile, and what was emptied then may be filled again.
  if (!*discarded_) return;
  take_discarded().reset();
  const off_t size_bytes = file_size_bytes(size_bytes_, page_bytes_);
  if (size_bytes != 0) punch_whole(base_->get(), size_bytes);
}

void MemfdMemory::lock_pages(bool lazy) {
  ever_locked_ = true;
  auto mapping = InternalMapping::of(base_->get(), size_bytes_, PROT_READ);
  if (!mapping) return;
  locked_ = std::make_shared<LockedPages>(std::move(*mapping), base_, discarded_);
  if (const auto locked = locked_->lock(lazy); !locked) {
    log_limited(spdlog::level::info, LogTopic::kLocking, LogLimiter::kNobody,
                "SHM_LOCK: pages may still be swapped: errno {}; shmvisor needs CAP_IPC_LOCK or a "
                "higher RLIMIT_MEMLOCK",
                locked.error().value());
    return;
  }
  if (lazy && locked_->renew()) {
    lock_keeper_.add(this, [pages = locked_] { return pages->renew(); });
  }
}

}  // namespace shmvisor
