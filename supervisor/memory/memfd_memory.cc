#include "supervisor/memory/memfd_memory.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <cstdio>

#include "supervisor/kernel/uapi.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kPageBytes = 4096;
constexpr std::uint64_t kBlockBytes = 512;  // of st_blocks, whatever the file system

/// The errno of a failing memfd call in shmget(2)'s terms.
Errno as_shmget_error(int error) {
  switch (error) {
    case EMFILE:
    case ENFILE:
      spdlog::warn("no new segment: out of file descriptors; raise the {} limit",
                   error == EMFILE ? "RLIMIT_NOFILE (ulimit -n)" : "system-wide fs.file-max");
      return Errno(ENOSPC);
    case EFBIG:
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
  if (fd.valid()) features.absent(KernelFeature::kNoexecSeal);
  return fd;
}

/// hugetlb reserves pages for a mapping, and keeps the reservation for the file.
bool reserve_huge_pages(int fd, std::uint64_t size_bytes) {
  if (size_bytes == 0) return true;
  void* const address = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) return false;
  ::munmap(address, size_bytes);
  return true;
}

bool machine_swaps() {
  struct sysinfo info {};
  return ::sysinfo(&info) == 0 && info.totalswap != 0;
}

/// Faults in what is allocated already, and nothing else.
void populate_allocated(int fd, char* address, std::uint64_t size_bytes) {
  const auto end = static_cast<off_t>(size_bytes);
  for (off_t at = ::lseek(fd, 0, SEEK_DATA); at >= 0 && at < end;) {
    off_t hole = ::lseek(fd, at, SEEK_HOLE);
    if (hole < 0 || hole > end) hole = end;
    ::madvise(address + at, static_cast<std::size_t>(hole - at), MADV_POPULATE_READ);
    at = ::lseek(fd, hole, SEEK_DATA);
  }
}

}  // namespace

Result<std::unique_ptr<MemfdMemory>> MemfdMemory::create(const BackingRequest& request,
                                                         std::uint64_t size_bytes,
                                                         CommitCharge charge, const Census& census,
                                                         KernelFeatures& features) {
  const UniqueFd first = create_memfd(request, features);
  if (!first.valid()) return as_shmget_error(errno);
  if (::fchmod(first.get(), 0600) != 0 ||
      ::ftruncate(first.get(), static_cast<off_t>(size_bytes)) != 0) {
    return as_shmget_error(errno);
  }
  if (request.huge && request.reserve && !reserve_huge_pages(first.get(), size_bytes)) {
    return Errno(ENOMEM);
  }
  if (::fcntl(first.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return as_shmget_error(errno);
  }
  const std::string path = "/proc/self/fd/" + std::to_string(first.get());
  UniqueFd base(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!base.valid()) return as_shmget_error(errno);
  struct stat status {};
  if (::fstat(base.get(), &status) != 0) return as_shmget_error(errno);
  return std::unique_ptr<MemfdMemory>(
      new MemfdMemory(std::move(base), {status.st_dev, status.st_ino}, size_bytes, request.huge,
                      std::move(charge), census, features));
}

MemfdMemory::~MemfdMemory() { MemfdMemory::set_locked(false); }

std::string MemfdMemory::path() const { return "/proc/self/fd/" + std::to_string(base_.get()); }

Result<BackingFile> MemfdMemory::open(MaximumAccess access) {
  const std::lock_guard lock(mutex_);
  const int mode = access == MaximumAccess::kReadOnly ? O_RDONLY : O_RDWR;
  // O_NONBLOCK: who caught a descriptor of ours in flight may have put a lease on the file, and
  // open(2) would wait for it.
  UniqueFd fd(::open(path().c_str(), mode | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) {
    spdlog::warn("cannot attach: no description of segment memory: errno {}", errno);
    return Errno(ENOMEM);
  }
  handed_out_ = true;
  return BackingFile{std::move(fd)};
}

bool MemfdMemory::in_use() {
  {
    const std::lock_guard lock(mutex_);
    if (!handed_out_) return false;
    if (::fcntl(base_.get(), F_SETLEASE, F_WRLCK) == 0) {
      ::fcntl(base_.get(), F_SETLEASE, F_UNLCK);
      handed_out_ = false;
      return false;
    }
    if (errno == EAGAIN) return true;
  }
  return census_.count_mappings({&identity_, 1}).front() != 0;
}

PageUsage MemfdMemory::usage() {
  struct stat status {};
  if (::fstat(base_.get(), &status) != 0) return {};
  PageUsage pages;
  pages.resident = static_cast<std::uint64_t>(status.st_blocks) * kBlockBytes / kPageBytes;
  if (!huge_ && machine_swaps() && features_.usable(KernelFeature::kCachestat)) {
    cachestat_range whole{};
    struct cachestat counted {};
    if (::syscall(SYS_cachestat, base_.get(), &whole, &counted, 0) == 0) {
      const std::uint64_t allocated = pages.resident;
      pages.resident = std::min<std::uint64_t>(counted.nr_cache, allocated);
      pages.swapped = allocated - pages.resident;
    } else {
      features_.absent(KernelFeature::kCachestat);
    }
  }
  return pages;
}

void MemfdMemory::set_locked(bool locked) {
  const std::lock_guard lock(mutex_);
  if (!locked) {
    if (locked_at_ != nullptr) ::munmap(locked_at_, size_bytes_);
    locked_at_ = nullptr;
    return;
  }
  if (locked_at_ != nullptr) return;
  void* const address = ::mmap(nullptr, size_bytes_, PROT_READ, MAP_SHARED, base_.get(), 0);
  if (address == MAP_FAILED) return;
  locked_at_ = address;
  if (::mlock2(address, size_bytes_, MLOCK_ONFAULT) != 0) {
    spdlog::info(
        "SHM_LOCK: pages may still be swapped: errno {}; shmvisor needs CAP_IPC_LOCK or a "
        "higher RLIMIT_MEMLOCK",
        errno);
    return;
  }
  populate_allocated(base_.get(), static_cast<char*>(address), size_bytes_);
}

}  // namespace shmvisor
