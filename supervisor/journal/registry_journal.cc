#include "supervisor/journal/registry_journal.h"

#include <cstdlib>
#include <utility>

#include "supervisor/memory/memfd_memory.h"
#include "supervisor/saved/segment_copy.h"

namespace shmvisor {

using journal::kNone;

namespace {

std::size_t place_of(int id) { return static_cast<std::size_t>(IdSpace::index_of(id)); }

/// All that a segment is, but for its stamps.
journal::SegmentChange copy_of(const RegistryState& state, const Segment& segment) {
  const SegmentState& changing = state.of(segment);
  // All memory here is the Machine's.
  const auto& memory = static_cast<const MemfdMemory&>(segment.memory());
  journal::SegmentChange copy;
  saved::SegmentState& saved = copy.segment;
  saved = saved::copy_of(state, segment);
  saved.perm.mode &= ~mode_t{abi::kShmDest};
  saved.page_bytes = memory.page_bytes();
  saved.huge = memory.is_huge();
  saved.reserve = memory.is_reserved();
  saved.inode = memory.identity().inode;
  copy.live.removed = (changing.perm.mode & abi::kShmDest) != 0;
  copy.live.fd = memory.descriptor();
  copy.live.device = memory.identity().device;
  copy.live.name_key = memory.name_key();
  copy.live.committed = memory.is_committed();
  copy.live.creator = changing.creator;
  copy.live.cpid_inner = segment.cpid().inner;
  return copy;
}

}  // namespace

// Clang's analysis cannot follow a lock that one function takes and another gives back.
void ChangeJournal::RegistryJournal::hold() noexcept NO_THREAD_SAFETY_ANALYSIS {
  if (std::exchange(holds_, true)) return;
  journal_.mutex_.lock();
}

void ChangeJournal::RegistryJournal::commit() noexcept NO_THREAD_SAFETY_ANALYSIS {
  if (!std::exchange(holds_, false)) return;
  journal_.commit();
  journal_.mutex_.unlock();
}

ChangeJournal::RegistryJournal::~RegistryJournal() NO_THREAD_SAFETY_ANALYSIS {
  hold();
  if (has_prepared_stamp_) journal_.give_stamp_back(prepared_stamp_);
  journal_.append(encode(journal::RemovalChange{number_, -1}));
  journal_.registries_.erase(number_);
  commit();
}

void ChangeJournal::RegistryJournal::begin(const RegistryState& state,
                                           bool rmid_forced) NO_THREAD_SAFETY_ANALYSIS {
  hold();
  try {
    begin_held(state, rmid_forced);
  } catch (...) {
    commit();
    throw;
  }
  commit();
}

void ChangeJournal::RegistryJournal::begin_held(const RegistryState& state,
                                                bool rmid_forced) NO_THREAD_SAFETY_ANALYSIS {
  set_held(state, rmid_forced);
  auto& places = journal_.known(number_).places;
  for (Place& place : places) {
    if (place.id < 0 || state.find(place.id)) continue;
    // It went while nobody observed the registry. Another's memory may have its descriptor.
    journal_.append(encode(journal::RemovalChange{number_, place.id}));
    journal_.give_stamp_back(place.stamp);
    place = {};
  }
  // Those that came back are known; others were there before the journal. All came back.
  state.for_each([&](const std::shared_ptr<Segment>& segment) {
    prepare_held(IdSpace::index_of(segment->id()));
    const Place& place = places[place_of(segment->id())];
    if (place.id < 0) {
      insert_held(state, {.id = segment->id(), .asked_for = true}, *segment);
    } else if (place.stamp != kNone) {
      segment->observe_stamps(&journal_, place.stamp);
    }
  });
  set_held(state, rmid_forced);  // the insertions took kernel.shm_next_id back
}

void ChangeJournal::RegistryJournal::prepare(const Segment& segment) {
  const MutexLock lock(journal_.mutex_);
  prepare_held(IdSpace::index_of(segment.id()));
}

void ChangeJournal::RegistryJournal::prepare_held(int index) NO_THREAD_SAFETY_ANALYSIS {
  auto& places = journal_.known(number_).places;
  const auto place = static_cast<std::size_t>(index);
  if (places.size() <= place) places.resize(place + 1);
  if (has_prepared_stamp_) return;
  prepared_stamp_ = journal_.take_stamp();
  has_prepared_stamp_ = true;
}

void ChangeJournal::RegistryJournal::inserted(const RegistryState& state, const FreeId& id,
                                              Segment& segment) noexcept {
  hold();
  insert_held(state, id, segment);
}

void ChangeJournal::RegistryJournal::insert_held(const RegistryState& state, const FreeId& id,
                                                 Segment& segment) noexcept
    NO_THREAD_SAFETY_ANALYSIS {
  Known& known = journal_.known(number_);
  Place& place = known.places[place_of(segment.id())];
  place.id = segment.id();
  place.stamp = prepared_stamp_;
  has_prepared_stamp_ = false;
  if (place.stamp != kNone) {
    // Those of the segment that had the place before count till its end is committed.
    for (journal::Stamp& one : journal_.file_.stamps()[place.stamp]) one.number.store(0);
    segment.observe_stamps(&journal_, place.stamp);
  }
  known.settings.state.next_id = -1;
  if (!id.asked_for) known.settings.state.cursor = state.id_cursor();
  write(place, state, segment, true, !id.asked_for);
}

void ChangeJournal::RegistryJournal::changed(
    const RegistryState& state, const Segment& segment) noexcept NO_THREAD_SAFETY_ANALYSIS {
  hold();
  write(journal_.known(number_).places[place_of(segment.id())], state, segment, false, false);
}

void ChangeJournal::RegistryJournal::write(Place& place, const RegistryState& state,
                                           const Segment& segment, bool is_made,
                                           bool moves_cycle) noexcept NO_THREAD_SAFETY_ANALYSIS {
  journal::SegmentChange change = copy_of(state, segment);
  change.registry = number_;
  change.live.stamp = place.stamp;
  change.live.made = is_made;
  change.live.moves_cycle = moves_cycle;
  place.offset_bytes = journal_.append(encode(change));
}

void ChangeJournal::RegistryJournal::erased(Segment& segment) noexcept NO_THREAD_SAFETY_ANALYSIS {
  hold();
  segment.observe_stamps(nullptr, 0);
  Place& place = journal_.known(number_).places[place_of(segment.id())];
  journal_.append(encode(journal::RemovalChange{number_, segment.id()}));
  journal_.give_stamp_back(place.stamp);
  place = {};
}

void ChangeJournal::RegistryJournal::set(const RegistryState& state, bool rmid_forced) noexcept {
  hold();
  set_held(state, rmid_forced);
}

void ChangeJournal::RegistryJournal::set_held(const RegistryState& state,
                                              bool rmid_forced) noexcept NO_THREAD_SAFETY_ANALYSIS {
  Known& known = journal_.known(number_);
  saved::RegistryState& settings = known.settings.state;
  settings.limits = state.limits();
  settings.rmid_forced = rmid_forced;
  settings.next_id = state.next_id_hint();
  settings.cursor = state.id_cursor();
  journal_.append(encode(known.settings));
}

}  // namespace shmvisor
