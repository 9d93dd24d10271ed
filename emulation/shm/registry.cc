#include "emulation/shm/registry.h"

#include "emulation/abi/shm_abi.h"

namespace shmvisor {

void Registry::settle() {
  if (doomed_.load(std::memory_order_acquire) == 0) return;
  const std::lock_guard settling(settling_);
  const std::vector<FileIdentity> released = host_.take_released();
  if (released.empty()) return;
  const std::unique_lock lock(mutex_);
  for (const FileIdentity& file : released) {
    const SegmentPointer segment = find_file(file);
    if (segment == nullptr || (segment->perm.mode & abi::kShmDest) == 0) continue;
    if (!segment->memory().in_use()) destroy(segment);
  }
}

Registry::SegmentPointer Registry::find_key(key_t key) const {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : found->second;
}

Registry::SegmentPointer Registry::find_file(const FileIdentity& file) const {
  const auto found = by_file_.find(file);
  return found == by_file_.end() ? nullptr : found->second;
}

PageUsage Registry::usage() const {
  PageUsage sum;
  table_.for_each([&sum](const Segment& segment) {
    const PageUsage one = segment.memory().usage();
    sum.resident += one.resident;
    sum.swapped += one.swapped;
  });
  return sum;
}

std::uint64_t Registry::locked_pages(uid_t uid) const {
  const auto found = locked_pages_.find(uid);
  return found == locked_pages_.end() ? 0 : found->second;
}

void Registry::insert(const FreeId& free, SegmentPointer segment) {
  total_pages_ += segment->size_pages();
  by_file_.emplace(segment->memory().identity(), segment);
  if (segment->perm.key != abi::kIpcPrivate) by_key_.emplace(segment->perm.key, segment);
  table_.insert(free, std::move(segment));
}

void Registry::remove(const SegmentPointer& segment) {
  if (segment->perm.key != abi::kIpcPrivate) {
    by_key_.erase(segment->perm.key);
    segment->perm.key = abi::kIpcPrivate;
  }
  if ((segment->perm.mode & abi::kShmDest) != 0) return;  // the watch is set already
  if (segment->memory().in_use()) {
    segment->perm.mode |= abi::kShmDest;
    doomed_.fetch_add(1, std::memory_order_release);
    host_.watch_release(segment->memory());
    // The last mapping may have gone between the question and the watch.
    if (segment->memory().in_use()) return;
  }
  destroy(segment);
}

void Registry::destroy(const SegmentPointer& segment) {
  if ((segment->perm.mode & abi::kShmDest) != 0) {
    host_.unwatch_release(segment->memory());
    doomed_.fetch_sub(1, std::memory_order_release);
  }
  if ((segment->perm.mode & abi::kShmLocked) != 0) set_locked(*segment, false, segment->locked_by);
  total_pages_ -= segment->size_pages();
  by_file_.erase(segment->memory().identity());
  table_.erase(segment->id());
}

void Registry::set_locked(Segment& segment, bool locked, uid_t uid) {
  if (locked == ((segment.perm.mode & abi::kShmLocked) != 0)) return;
  if (locked) {
    locked_pages_[uid] += segment.size_pages();
    segment.locked_by = uid;
    segment.perm.mode |= abi::kShmLocked;
  } else {
    const auto account = locked_pages_.find(segment.locked_by);
    account->second -= segment.size_pages();
    if (account->second == 0) locked_pages_.erase(account);
    segment.perm.mode &= ~abi::kShmLocked;
  }
  segment.memory().set_locked(locked);
}

}  // namespace shmvisor
