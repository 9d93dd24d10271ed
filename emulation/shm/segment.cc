#include "emulation/shm/segment.h"

#include <new>

namespace shmvisor {

void Segment::note_attach(const MappingActor& by) noexcept {
  const MutexLock lock(stamps_mutex_);
  note(0, Change::kAttach, by);
  tell();
}

void Segment::note_detach(const MappingActor& by) noexcept {
  const MutexLock lock(stamps_mutex_);
  note(0, Change::kDetach, by);
  tell();
}

void Segment::renew_lock(const std::function<LockMode()>& wanted) {
  const MutexLock lock(locking_mutex_);
  memory_->lock(wanted());
}

AttachStamps Segment::stamps() const {
  const MutexLock lock(stamps_mutex_);
  return stamps_now();
}

AttachStamps Segment::stamps_now() const {
  AttachStamps stamps = settled_;
  for (const Recent& recent : recent_) recent.apply_to(stamps);
  return stamps;
}

void Segment::observe_stamps(StampObserver* observer, std::uint32_t place) noexcept {
  const MutexLock lock(stamps_mutex_);
  stamp_observer_ = observer;
  stamp_place_ = place;
  tell();
}

void Segment::tell_of_stamps() noexcept {
  const MutexLock lock(stamps_mutex_);
  tell();
}

void Segment::tell() noexcept {
  if (stamp_observer_ == nullptr) return;
  stamp_observer_->stamped(stamp_place_, stamps_now(), was_opened_.load());
}

std::uint64_t Segment::note_provisionally(Change change, const MappingActor& by) noexcept {
  const MutexLock lock(stamps_mutex_);
  note(++last_number_, change, by);
  tell();
  return last_number_;
}

void Segment::retract(std::uint64_t number) {
  const MutexLock lock(stamps_mutex_);
  std::erase_if(recent_, [number](const Recent& recent) { return recent.number == number; });
  fold_recent();
  tell();
}

/// Where there is no memory to remember it, it is for good, and what came before it too.
void Segment::note(std::uint64_t number, Change change, const MappingActor& by) {
  const Recent now{number, change, by};
  try {
    recent_.push_back(now);
    fold_recent();
  } catch (const std::bad_alloc&) {
    for (const Recent& recent : recent_) recent.apply_to(settled_);
    recent_.clear();
    now.apply_to(settled_);
  }
}

void Segment::fold_recent() {
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
