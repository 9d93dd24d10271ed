// How a registry changes: what each Change needs beforehand, and how it is carried out.
#include <new>
#include <utility>
#include <variant>

#include "emulation/shm/registry.h"

namespace shmvisor {

void Registry::apply(const Change& change, Dropped& dropped) {
  /// Where a change stops half-way, for want of memory, what it did is told all the same.
  struct Told {
    explicit Told(ChangeObserver* observer) : observer_(observer) {}
    Told(const Told&) = delete;
    Told& operator=(const Told&) = delete;
    ~Told() {
      if (observer_ != nullptr) observer_->commit();
    }

   private:
    ChangeObserver* const observer_;
  } told(observer_.get());
  std::visit([&](const auto& one) NO_THREAD_SAFETY_ANALYSIS { carry_out(one, dropped); }, change);
}

void Registry::prepare(const Change& change, Dropped& dropped) {
  std::visit([&](const auto& one) NO_THREAD_SAFETY_ANALYSIS { prepare_for(one, dropped); }, change);
}

void Registry::prepare_for(const InsertSegment& change, Dropped& /*dropped*/) {
  const SegmentPointer& segment = change.segment;
  try {
    state_.prepare(change);
    files_.add(segment, *this);
    if (observer_ != nullptr) observer_->prepare(*segment);
    if (rmid_forced_ || is_removed(*segment)) files_.watch(*segment);
  } catch (...) {
    state_.cancel(*segment);
    files_.remove(*segment);
    throw;
  }
  prepared_.inserted = segment.get();
}

void Registry::prepare_for(const RemoveSegment& change, Dropped& dropped) {
  dropped.reserve(1, files_.freeing());
  Segment& segment = *change.segment;
  Prepared prepared;
  prepared.removed = &segment;
  prepared.stays_mapped = !is_removed(segment) && segment.in_use();
  // Before it is asked for the last time whether it is in use: its last mapping may go meanwhile.
  if (prepared.stays_mapped && !rmid_forced_) {
    files_.watch(segment);
    prepared.watched = &segment;
  }
  prepared_ = prepared;
}

void Registry::prepare_for(const SetLocked& change, Dropped& /*dropped*/) {
  if (!change.locked || is_locked(*change.segment)) return;
  files_.lock_accounts().charge(change.uid, change.segment->size_pages());
  prepared_.locked = change.segment.get();
  prepared_.locked_by = change.uid;
}

void Registry::cancel() {
  const Prepared prepared = std::exchange(prepared_, {});
  if (prepared.inserted != nullptr) {
    if (prepared.inserted->ends_unmapped()) files_.unwatch(*prepared.inserted);
    files_.remove(*prepared.inserted);
    state_.cancel(*prepared.inserted);
  }
  if (prepared.watched != nullptr) files_.unwatch(*prepared.watched);
  if (prepared.locked != nullptr) {
    files_.lock_accounts().give_back(prepared.locked_by, prepared.locked->size_pages());
  }
}

void Registry::carry_out(const InsertSegment& change, Dropped& dropped) {
  const SegmentPointer& segment = change.segment;
  if (prepared_.inserted != segment.get()) prepare_for(change, dropped);
  prepared_ = {};
  state_.insert(change.free, segment);
  if (observer_ != nullptr) observer_->inserted(state_, change.free, *segment);
}

// do_shm_rmid(): destroys it, or marks it SHM_DEST and takes its key away while it is mapped.
void Registry::carry_out(const RemoveSegment& change, Dropped& dropped) {
  const SegmentPointer& segment = change.segment;
  if (prepared_.removed != segment.get()) prepare_for(change, dropped);
  const Prepared prepared = std::exchange(prepared_, {});
  if (change.by != CleanedBy::kNothing) tell_cleaned(*segment, change.by);  // with its key
  state_.take_key(*segment);
  if (is_removed(*segment)) return;  // it is watched already
  if (prepared.stays_mapped) {
    state_.of(*segment).perm.mode |= abi::kShmDest;
    if (segment->in_use()) {
      tell_of(*segment);
      return;
    }
  }
  destroy(segment, dropped);
}

void Registry::carry_out(const SetPermissions& change, Dropped& /*dropped*/) {
  SegmentState& state = state_.of(*change.segment);
  state.perm.uid = change.uid;
  state.perm.gid = change.gid;
  state.perm.mode =
      (state.perm.mode & ~abi::kPermissionBits) | (change.mode & abi::kPermissionBits);
  state.ctime_seconds = change.now_seconds;
  tell_of(*change.segment);
}

void Registry::carry_out(const SetLocked& change, Dropped& dropped) {
  Segment& segment = *change.segment;
  if (!change.locked) {
    unlock(segment);
    tell_of(segment);
    return;
  }
  if (is_locked(segment)) return;
  if (prepared_.locked != &segment) prepare_for(change, dropped);
  prepared_ = {};
  state_.of(segment).locked_by = change.uid;
  state_.of(segment).perm.mode |= abi::kShmLocked;
  tell_of(segment);
}

void Registry::carry_out(const DropIfOver& change, Dropped& dropped) {
  const auto current = state_.find(change.segment->id());
  if (current && *current == change.segment && over(*change.segment)) {
    tell_cleaned(*change.segment, CleanedBy::kRmidForced);
    destroy(change.segment, dropped);
  }
}

void Registry::carry_out(const ForgetCreator& change, Dropped& dropped) {
  for (const SegmentPointer& segment : state_.all()) {
    SegmentState& state = state_.of(*segment);
    if (state.creator != change.creator) continue;
    state.creator.reset();
    if (rmid_forced_ && over(*segment)) {
      tell_cleaned(*segment, CleanedBy::kRmidForced);
      destroy(segment, dropped);
    } else {
      tell_of(*segment);
    }
  }
}

void Registry::set_limits(const LimitSettings& settings) {
  const auto set = [this](SetLimit::Which which, const auto& value) {
    if (value) change(SetLimit{which, *value});
  };
  set(SetLimit::Which::kShmmax, settings.shmmax);
  set(SetLimit::Which::kShmall, settings.shmall);
  set(SetLimit::Which::kShmmni, settings.shmmni);
}

void Registry::carry_out(const SetLimit& change, Dropped& /*dropped*/) {
  state_.set(change);
  tell_of_settings();
}

void Registry::carry_out(const SetUserLimits& change, Dropped& /*dropped*/) { state_.set(change); }

// ipc_idr_alloc() takes kernel.shm_next_id back before it looks for a free index.
void Registry::carry_out(const SetNextId& change, Dropped& /*dropped*/) {
  state_.set_next_id_hint(change.id);
  tell_of_settings();
}

void Registry::carry_out(const SetIdCursor& change, Dropped& /*dropped*/) {
  state_.set_id_cursor(change.cursor);
  tell_of_settings();
}

void Registry::carry_out(const SetRmidForced& change, Dropped& dropped) {
  if (rmid_forced_ == change.forced) return;
  std::vector<SegmentPointer> others = state_.all();
  std::erase_if(others, [this](const SegmentPointer& segment)
                            NO_THREAD_SAFETY_ANALYSIS { return is_removed(*segment); });
  if (!change.forced) {
    rmid_forced_ = false;
    tell_of_settings();
    for (const SegmentPointer& segment : others) files_.unwatch(*segment);
    return;
  }
  // Every last detach counts from now on, not only those of removed segments.
  watch_all(others);
  for (const SegmentPointer& segment : others) {
    if (!segment->in_use()) segment->forget_openings();
  }
  rmid_forced_ = true;
  tell_of_settings();
  for (const SegmentPointer& segment : others) {
    if (!over(*segment)) continue;
    tell_cleaned(*segment, CleanedBy::kRmidForced);
    destroy(segment, dropped);
  }
}

void Registry::watch_all(const std::vector<SegmentPointer>& segments) {
  std::size_t watched = 0;
  try {
    for (; watched < segments.size(); ++watched) files_.watch(*segments[watched]);
  } catch (const std::bad_alloc&) {
    while (watched != 0) files_.unwatch(*segments[--watched]);
    throw;
  }
}

void Registry::destroy(const SegmentPointer& segment, Dropped& dropped) noexcept {
  try {
    dropped.add(segment, files_.freeing());
  } catch (const std::bad_alloc&) {  // its pages go with its last descriptor
  }
  withdraw(segment);
}

void Registry::withdraw(const SegmentPointer& segment) {
  if (is_removed(*segment) || rmid_forced_) files_.unwatch(*segment);
  unlock(*segment);
  files_.remove(*segment);
  if (observer_ != nullptr) observer_->erased(*segment);
  state_.erase(*segment);
}

void Registry::tell_of(const Segment& segment) {
  if (observer_ != nullptr) observer_->changed(state_, segment);
}

void Registry::tell_cleaned(const Segment& segment, CleanedBy by) const {
  if (cleanup_observer_ == nullptr || is_removed(segment)) return;
  const auto& perm = state_.of(segment).perm;
  cleanup_observer_->cleaned({.ipc_namespace = ipc_namespace_,
                              .shmid = segment.id(),
                              .key = perm.key,
                              .size_bytes = segment.size_bytes(),
                              .uid = perm.uid,
                              .cpid = segment.cpid().pid,
                              .by = by});
}

void Registry::tell_of_settings() {
  if (observer_ != nullptr) observer_->set(state_, rmid_forced_);
}

void Registry::unlock(Segment& segment) {
  if (!is_locked(segment)) return;
  SegmentState& state = state_.of(segment);
  files_.lock_accounts().give_back(state.locked_by, segment.size_pages());
  state.perm.mode &= ~abi::kShmLocked;
}

bool Registry::is_removed(const Segment& segment) const {
  return (state_.of(segment).perm.mode & abi::kShmDest) != 0;
}

bool Registry::is_locked(const Segment& segment) const {
  return (state_.of(segment).perm.mode & abi::kShmLocked) != 0;
}

}  // namespace shmvisor
