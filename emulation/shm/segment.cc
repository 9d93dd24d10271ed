#include "emulation/shm/segment.h"

namespace shmvisor {

void Segment::note_attach(const MappingActor& by) {
  const MutexLock lock(stamps_mutex_);
  note(0, Change::kAttach, by);
}

void Segment::note_detach(const MappingActor& by) {
  const MutexLock lock(stamps_mutex_);
  note(0, Change::kDetach, by);
}

void Segment::renew_lock(const std::function<LockMode()>& wanted) {
  const MutexLock lock(locking_mutex_);
  memory_->lock(wanted());
}

AttachStamps Segment::stamps() const {
  const MutexLock lock(stamps_mutex_);
  AttachStamps stamps = settled_;
  for (const Recent& recent : recent_) recent.apply_to(stamps);
  return stamps;
}

std::uint64_t Segment::change_for_now(Change change, const MappingActor& by) {
  const MutexLock lock(stamps_mutex_);
  note(++last_number_, change, by);
  return last_number_;
}

void Segment::take_back(std::uint64_t number) {
  const MutexLock lock(stamps_mutex_);
  std::erase_if(recent_, [number](const Recent& recent) { return recent.number == number; });
  settle();
}

void Segment::note(std::uint64_t number, Change change, const MappingActor& by) {
  recent_.push_back({number, change, by});
  settle();
}

void Segment::settle() {
  std::size_t settled = 0;
  while (settled < recent_.size() &&
         (recent_[settled].number == 0 || recent_.size() - settled > kMostRecent)) {
    recent_[settled++].apply_to(settled_);
  }
  recent_.erase(recent_.begin(), recent_.begin() + static_cast<std::ptrdiff_t>(settled));
}

void Segment::Recent::apply_to(AttachStamps& stamps) const {
  (change == Change::kAttach ? stamps.atime : stamps.dtime) = by.now_seconds;
  stamps.lpid = by.process;
}

}  // namespace shmvisor
