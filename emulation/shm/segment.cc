#include "emulation/shm/segment.h"

#include <cassert>

namespace shmvisor {

Result<Translation> Segment::translate(const OffsetRange& required, const Access& access) {
  const OffsetRange whole{0, length_bytes()};
  if (required.wraps() || !whole.contains(required)) return Errno(EFAULT);
  return Translation{required, *memory_, required.start, access.write ? kAnyAccess : kReadExecute};
}

void Segment::add_mapping([[maybe_unused]] const OffsetRange& offsets, const MappingActor& by) {
  assert(!offsets.wraps());
  const std::lock_guard lock(stamps_mutex_);
  stamps_.atime = by.now_seconds;
  stamps_.lpid = by.process;
}

void Segment::remove_mapping([[maybe_unused]] const OffsetRange& offsets, const MappingActor& by) {
  assert(!offsets.wraps());
  const std::lock_guard lock(stamps_mutex_);
  stamps_.dtime = by.now_seconds;
  stamps_.lpid = by.process;
}

void Segment::copy_mapping(const OffsetRange& offsets, const MappingActor& by) {
  add_mapping(offsets, by);
}

void Segment::take_back(const AttachStamps& after, const AttachStamps& before) {
  const std::lock_guard lock(stamps_mutex_);
  if (stamps_ == after) stamps_ = before;
}

}  // namespace shmvisor
