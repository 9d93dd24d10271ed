#include "emulation/shm/segment_files.h"

#include <vector>

#include "emulation/shm/registry.h"

namespace shmvisor {

SegmentFiles::Entry SegmentFiles::entry(const FileIdentity& file) const {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(file);
  return found == files_.end() ? Entry() : found->second;
}

std::shared_ptr<Segment> SegmentFiles::find(const FileIdentity& file) const {
  return entry(file).segment.lock();
}

void SegmentFiles::settle() {
  if (watched_.load(std::memory_order_acquire) == 0) return;
  std::shared_lock<std::shared_mutex> until_freed;
  std::vector<std::shared_ptr<Segment>> freed;  // when nobody waits for us any more
  const std::lock_guard settling(settling_);
  until_freed = freeing();
  for (const FileIdentity& file : host_.take_released()) {
    const Entry released = entry(file);
    const auto segment = released.segment.lock();
    const auto registry = released.registry.lock();
    if (segment == nullptr || registry == nullptr) continue;
    registry->drop_if_over(segment);
    freed.push_back(segment);
  }
}

void SegmentFiles::add(const std::shared_ptr<Segment>& segment, Registry& registry) {
  const std::lock_guard lock(mutex_);
  files_.insert_or_assign(segment->memory().identity(), Entry{segment, registry.weak_from_this()});
}

void SegmentFiles::remove(const Segment& segment) {
  const std::lock_guard lock(mutex_);
  files_.erase(segment.memory().identity());
}

void SegmentFiles::watch(const Segment& segment) {
  host_.watch_release(segment.memory());
  watched_.fetch_add(1, std::memory_order_release);
}

void SegmentFiles::unwatch(const Segment& segment) {
  host_.unwatch_release(segment.memory());
  watched_.fetch_sub(1, std::memory_order_release);
}

}  // namespace shmvisor
