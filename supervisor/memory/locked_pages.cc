#include "supervisor/memory/locked_pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>

#include "emulation/abi/abi.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kBlockBytes = 512;  // of st_blocks, on any file system

}  // namespace

Result<void> LockedPages::lock(bool lazy) {
  const auto bytes = mapping_.bytes();
  if (::mlock2(bytes.data(), bytes.size(), lazy ? MLOCK_ONFAULT : 0) != 0) return Errno::current();
  return {};
}

void LockedPages::unlock() {
  stop();
  (void)::munlock(mapping_.bytes().data(), mapping_.bytes().size());
}

bool LockedPages::renew() {
  const std::uint64_t pages = mapping_.bytes().size() / kPageBytes;
  if (next_ == 0) {
    struct stat status {};
    if (::fstat(file_->get(), &status) == 0) {
      pages_wanted_ = static_cast<std::uint64_t>(status.st_blocks) * kBlockBytes / kPageBytes;
    }
    if (pages_wanted_ == pages_locked_) return pages_wanted_ < pages && !is_over();
  }
  const std::uint64_t end = std::min(pages, next_ + pages_a_time_);
  populate_allocated(next_, end);
  if (*discarded_) {
    // Pages that were emptied meanwhile may have been filled again.
    punch_whole(file_->get(), static_cast<off_t>(mapping_.bytes().size()));
  }
  if (is_over()) return false;
  next_ = end == pages ? 0 : end;
  if (next_ != 0) return true;
  pages_locked_ = pages_wanted_;
  return pages_locked_ < pages;
}

void LockedPages::populate_allocated(std::uint64_t begin, std::uint64_t end) {
  // Asks mincore(2), since lseek(2) would wait for a process that writes to the file by a
  // descriptor that it caught.
  constexpr std::uint64_t kPagesAtOnce = 4096;
  std::array<unsigned char, kPagesAtOnce> there;  // filled as far as it is read
  std::byte* const address = mapping_.bytes().data();
  for (std::uint64_t at = begin; at < end; at += kPagesAtOnce) {
    const std::uint64_t pages = std::min(kPagesAtOnce, end - at);
    if (is_over()) return;
    if (::mincore(address + at * kPageBytes, pages * kPageBytes, there.data()) != 0) return;
    for (std::uint64_t page = 0; page < pages && !is_over();) {
      const std::uint64_t first = page;
      while (page < pages && (there[page] & 1) != 0) ++page;
      if (page != first) {
        ::madvise(address + (at + first) * kPageBytes, (page - first) * kPageBytes,
                  MADV_POPULATE_READ);
      } else {
        ++page;
      }
    }
  }
}

void punch_whole(int fd, off_t size_bytes) {
  while (::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, size_bytes) != 0 &&
         errno == EINTR) {
  }
}

}  // namespace shmvisor
