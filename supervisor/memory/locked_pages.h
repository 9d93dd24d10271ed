// LockedPages: our own mapping of a locked segment, which also keeps pages that are allocated later
// in memory.
//
// Sizes: in pages (kPageBytes). A renewal looks at kPagesATime pages, and the next one continues
// there: a segment may have hundreds of GiB, most of them never touched.
//
// Ownership: the mapping, and a share of the file. Thread rule: renew() is one thread's at a time;
// stop() and unlock() are any thread's, during a renewal too.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/memory/internal_mapping.h"

namespace shmvisor {

class LockedPages {
 public:
  /// 8 GiB: about 0.1 s for pages that were never touched.
  static constexpr std::uint64_t kPagesATime = std::uint64_t{1} << 21;

  /// `discarded`: set before the file is emptied for good.
  LockedPages(InternalMapping mapping, std::shared_ptr<const UniqueFd> file,
              std::shared_ptr<const std::atomic<bool>> discarded,
              std::uint64_t pages_a_time = kPagesATime)
      : mapping_(std::move(mapping)),
        file_(std::move(file)),
        discarded_(std::move(discarded)),
        pages_a_time_(pages_a_time) {}

  /// mlock2(2): `lazy` with MLOCK_ONFAULT.
  Result<void> lock(bool lazy);
  /// Faults in, so that they are locked, a part of the pages allocated since the last time. False
  /// when all pages are in memory, or nothing is to be locked any more.
  bool renew();
  /// Ends a running renewal soon; later ones do nothing.
  void stop() { stopped_ = true; }
  /// stop(), and nothing is locked on return.
  void unlock();

 private:
  [[nodiscard]] bool is_over() const { return stopped_ || *discarded_; }
  /// Faults in only pages that are in memory already.
  void populate_allocated(std::uint64_t begin, std::uint64_t end);

  const InternalMapping mapping_;
  const std::shared_ptr<const UniqueFd> file_;
  const std::shared_ptr<const std::atomic<bool>> discarded_;
  const std::uint64_t pages_a_time_;
  std::atomic<bool> stopped_{false};
  std::uint64_t next_ = 0;          ///< the page to go on with
  std::uint64_t pages_wanted_ = 0;  ///< allocated when this round began
  std::uint64_t pages_locked_ = 0;  ///< allocated when the last whole round began
};

/// Frees the pages of a file, even if they are mapped.
void punch_whole(int fd, off_t size_bytes);

}  // namespace shmvisor
