#include "supervisor/inject/outgoing_files.h"

#include <algorithm>
#include <new>

namespace shmvisor {

OutgoingFiles& OutgoingFiles::all() {
  // Never destroyed: threads that were lost may use it to the end.
  static auto* const files = new OutgoingFiles();
  return *files;
}

void OutgoingFiles::enter(std::uint64_t caller) noexcept {
  const MutexLock lock(mutex_);
  try {
    callers_.push_back(caller);
  } catch (const std::bad_alloc&) {
    return;  // memory may be free a moment later than it could be
  }
  count_.store(callers_.size());
}

void OutgoingFiles::leave(std::uint64_t caller) noexcept {
  const MutexLock lock(mutex_);
  const auto found = std::ranges::find(callers_, caller);
  if (found != callers_.end()) callers_.erase(found);
  count_.store(callers_.size());
  left_.notify_all();
}

void OutgoingFiles::wait_for(std::uint64_t caller) {
  if (count_.load() == 0) return;
  const MutexLock lock(mutex_);
  while (std::ranges::find(callers_, caller) != callers_.end()) left_.wait(mutex_);
}

}  // namespace shmvisor
