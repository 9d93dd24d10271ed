#include "emulation/shm/segment_files.h"

#include <vector>

#include "emulation/shm/dropped.h"
#include "emulation/shm/registry.h"

namespace shmvisor {

SegmentFiles::Entry SegmentFiles::entry(const FileIdentity& file) const {
  const MutexLock lock(mutex_);
  const auto found = files_.find(file);
  return found == files_.end() ? Entry() : found->second;
}

std::shared_ptr<Segment> SegmentFiles::find(const FileIdentity& file) const {
  return entry(file).segment.lock();
}

void SegmentFiles::settle() {
  if (!watches_any()) return;
  DroppedAside dropped(host_);
  {
    const MutexLock settling(settling_);
    for (const FileIdentity& file : host_.take_released(kMostSettled)) {
      const Entry released = entry(file);
      const auto segment = released.segment.lock();
      const auto registry = released.registry.lock();
      if (segment != nullptr && registry != nullptr) registry->drop_if_over(segment, dropped);
    }
  }
}

void SegmentFiles::drop_if_over(const std::shared_ptr<Segment>& segment) noexcept {
  if (segment->ends_unmapped()) {
    if (const auto registry = entry(segment->memory().identity()).registry.lock()) {
      Dropped dropped;
      registry->drop_if_over(segment, dropped);
      if (!dropped.empty()) {
        dropped.free();
        return;
      }
    }
  }
  if (const std::uint64_t ticket = segment->freeing(); ticket != 0) freeing_->wait_for(ticket);
}

void SegmentFiles::add(const std::shared_ptr<Segment>& segment, Registry& registry) {
  const MutexLock lock(mutex_);
  files_.insert_or_assign(segment->memory().identity(), Entry{segment, registry.weak_from_this()});
}

void SegmentFiles::remove(const Segment& segment) {
  const MutexLock lock(mutex_);
  files_.erase(segment.memory().identity());
}

void SegmentFiles::watch(Segment& segment) {
  host_.watch_release(segment.memory());
  segment.set_ends_unmapped(true);
  watched_.fetch_add(1, std::memory_order_release);
}

void SegmentFiles::unwatch(Segment& segment) {
  segment.set_ends_unmapped(false);
  host_.unwatch_release(segment.memory());
  watched_.fetch_sub(1, std::memory_order_release);
}

}  // namespace shmvisor
