#include "emulation/shm/registry.h"

#include <algorithm>
#include <new>
#include <optional>
#include <utility>
#include <variant>

namespace shmvisor {
namespace {

/// At processes that hide from one look, or that we may not look into; or at a description that
/// nobody has mapped yet, or any more.
constexpr int kMostLooks = 8;
/// Whose life one call asks for on behalf of others.
constexpr std::size_t kMostCreators = 256;

}  // namespace

Registry::~Registry() {
  Dropped dropped;
  {
    const WriteLock lock(lock_);
    state_.for_each([&](const SegmentPointer& entered) NO_THREAD_SAFETY_ANALYSIS {
      const SegmentPointer segment = entered;  // which is about to go
      // What processes that outlive us still map stays theirs; to empty it would take it from them.
      try {
        if (!segment->in_use()) dropped.add(segment, files_.freeing());
      } catch (const std::bad_alloc&) {  // it goes with its last descriptor
      }
      withdraw(segment);
    });
  }
  try {
    dropped.free_aside(host_);
  } catch (const std::bad_alloc&) {  // the same
  }
}

void Registry::change(const Change& change) {
  Dropped dropped;
  {
    const WriteLock lock(lock_);
    apply(change, dropped);
  }
  dropped.free_aside(host_);
}

void Registry::settle() {
  files_.settle();
  if (!rmid_forced_) return;
  Dropped dropped;
  drop_orphans(dropped);
  dropped.free_aside(host_);
}

void Registry::settle_id(int id) {
  settle_found([id](const RegistryState& state) -> SegmentPointer {
    const auto found = state.find(id);
    return found ? *found : nullptr;
  });
}

void Registry::settle_index(int id) {
  settle_found([id](const RegistryState& state) -> SegmentPointer {
    const auto found = state.find_index(id);
    return found ? *found : nullptr;
  });
}

void Registry::settle_key(key_t key) {
  settle_found([key](const RegistryState& state) { return state.find_key(key); });
}

template <typename Find>
void Registry::settle_found(Find find) {
  if (!files_.watches_any()) return;
  SegmentPointer found;
  {
    const ReadLock lock(lock_);
    found = find(state_);
  }
  if (found != nullptr) settle_one(found);
}

void Registry::settle_one(const SegmentPointer& segment) {
  if (!segment->ends_unmapped()) return;
  std::optional<CreatorThread> creator;
  bool may_be_over = false;
  {
    const ReadLock lock(lock_);
    creator = state_.of(std::as_const(*segment)).creator;
    may_be_over = over(*segment);
  }
  const bool orphaned = rmid_forced_ && creator && !may_be_over && !host_.thread_lives(*creator);
  if (!may_be_over && !orphaned) return;
  Dropped dropped;
  {
    const WriteLock lock(lock_);
    if (orphaned) apply(ForgetCreator{*creator}, dropped);
    apply(DropIfOver{segment}, dropped);
  }
  dropped.free_aside(host_);
}

bool Registry::over(const Segment& segment) const {
  const SegmentState& state = state_.of(segment);
  const bool removed = (state.perm.mode & abi::kShmDest) != 0;
  // shm_may_destroy(), when a mapping goes or the creator ends.
  const bool forced = rmid_forced_ && (segment.was_opened() || !state.creator);
  return (removed || forced) && !segment.in_use();
}

void Registry::drop_if_over(const SegmentPointer& segment, Dropped& dropped) {
  const WriteLock lock(lock_);
  apply(DropIfOver{segment}, dropped);
}

void Registry::end_opening(const SegmentPointer& segment) noexcept {
  segment->end_opening();
  // Whoever looked meanwhile found it in use.
  try {
    files_.drop_if_over(segment);
  } catch (const std::bad_alloc&) {  // the next call that names it drops it
  }
}

bool Registry::anything_mapped() const {
  std::vector<SegmentPointer> segments;
  {
    const ReadLock lock(lock_);
    segments = state_.all();
  }
  return std::ranges::any_of(segments, [](const auto& segment) { return segment->in_use(); });
}

Result<std::vector<std::uint64_t>> Registry::count_attaches(
    std::span<const SegmentPointer> segments) const {
  bool complete = true;
  const auto count = [&](std::span<const SegmentPointer> asked) {
    std::vector<FileIdentity> files;
    files.reserve(asked.size());
    for (const SegmentPointer& segment : asked) files.push_back(segment->memory().identity());
    auto counted = host_.count_mappings(files);
    if (counted && !counted->complete) complete = false;
    return counted;
  };
  auto first = count(segments);
  if (!first) return first.error();
  std::vector<std::uint64_t> counts = std::move(first->of_files);
  for (int look = 1; look < kMostLooks; ++look) {
    std::vector<SegmentPointer> missed;
    std::vector<std::size_t> missed_place;
    for (std::size_t place = 0; place < counts.size(); ++place) {
      if (counts[place] != 0 || !segments[place]->in_use()) continue;
      missed.push_back(segments[place]);
      missed_place.push_back(place);
    }
    if (missed.empty()) break;
    if (!complete) {  // whoever maps it is one of those who do not let us look
      for (const std::size_t place : missed_place) counts[place] = 1;
      break;
    }
    const auto again = count(missed);
    if (!again) return again.error();
    for (std::size_t i = 0; i < missed.size(); ++i) counts[missed_place[i]] = again->of_files[i];
  }
  return counts;
}

Result<std::vector<ShmTableRow>> Registry::rows(Viewpoint& viewpoint,
                                                const ShmTableRange& range) const {
  std::vector<ShmTableRow> rows;
  std::vector<SegmentPointer> segments;
  if (range.most == 0) return rows;
  {
    const ReadGuard state(*this);
    state->for_each_from(range.first_index, [&](const SegmentPointer& segment) {
      segments.push_back(segment);
      rows.push_back({segment->id(), state->describe(*segment, viewpoint), {}});
      return rows.size() < range.most;
    });
  }
  std::vector<SegmentPointer> mapped;
  std::vector<std::size_t> mapped_row;
  for (std::size_t row = 0; row < segments.size(); ++row) {
    rows[row].usage = segments[row]->memory().usage();
    if (!range.count_attaches || !segments[row]->in_use()) continue;
    mapped.push_back(segments[row]);
    mapped_row.push_back(row);
  }
  const auto counts = count_attaches(mapped);
  if (!counts) return counts.error();
  for (std::size_t i = 0; i < mapped.size(); ++i) rows[mapped_row[i]].ds.nattch = (*counts)[i];
  return rows;
}

void Registry::set_rmid_forced(bool forced) {
  // What it has doomed so far goes, also where nobody has seen it yet.
  settle();
  if (rmid_forced_ == forced) return;
  Dropped dropped;
  {
    const WriteLock lock(lock_);
    apply(SetRmidForced{forced}, dropped);
  }
  next_creator_index_ = 0;
  while (forced && !drop_orphans(dropped)) {
  }
  dropped.free_aside(host_);
}

bool Registry::drop_orphans(Dropped& dropped) {
  for (const CreatorThread& creator : next_creators()) {
    if (host_.thread_lives(creator)) continue;
    const WriteLock lock(lock_);
    apply(ForgetCreator{creator}, dropped);
  }
  return next_creator_index_ == 0;
}

std::vector<CreatorThread> Registry::next_creators() {
  const int from = next_creator_index_;
  int next = 0;
  std::vector<CreatorThread> creators;
  const ReadGuard state(*this);
  state->for_each_from(from, [&](const SegmentPointer& segment) {
    const auto& creator = state->of(*segment).creator;
    if (!creator || std::ranges::find(creators, *creator) != creators.end()) return true;
    if (creators.size() == kMostCreators) {
      next = IdSpace::index_of(segment->id());
      return false;
    }
    creators.push_back(*creator);
    return true;
  });
  next_creator_index_ = next;
  return creators;
}

PageUsage Registry::usage() const {
  std::vector<SegmentPointer> segments;
  {
    const ReadLock lock(lock_);
    segments = state_.all();
  }
  PageUsage sum;
  for (const SegmentPointer& segment : segments) {
    const PageUsage one = segment->memory().usage();
    sum.resident += one.resident;
    sum.swapped += one.swapped;
  }
  return sum;
}

std::uint64_t Registry::locked_pages(uid_t uid) const {
  return files_.lock_accounts().pages_of(uid);
}

void Registry::apply(const Change& change, Dropped& dropped) {
  std::visit([&](const auto& one) NO_THREAD_SAFETY_ANALYSIS { carry_out(one, dropped); }, change);
}

void Registry::prepare(const Change& change) {
  const auto* const insert = std::get_if<InsertSegment>(&change);
  if (insert == nullptr) return;
  const SegmentPointer& segment = insert->segment;
  try {
    state_.prepare(*insert);
    files_.add(segment, *this);
    if (rmid_forced_) files_.watch(*segment);
  } catch (...) {
    state_.cancel(*segment);
    files_.remove(*segment);
    throw;
  }
  prepared_ = segment.get();
}

void Registry::cancel() {
  if (prepared_ == nullptr) return;
  Segment& segment = *std::exchange(prepared_, nullptr);
  if (rmid_forced_) files_.unwatch(segment);
  files_.remove(segment);
  state_.cancel(segment);
}

void Registry::carry_out(const InsertSegment& change, Dropped& /*dropped*/) {
  const SegmentPointer& segment = change.segment;
  if (prepared_ != segment.get()) prepare(change);
  prepared_ = nullptr;
  state_.insert(change.free, segment);
}

// do_shm_rmid(): destroys it, or marks it SHM_DEST and takes its key away while it is mapped.
void Registry::carry_out(const RemoveSegment& change, Dropped& dropped) {
  const SegmentPointer& segment = change.segment;
  state_.take_key(*segment);
  mode_t& mode = state_.of(*segment).perm.mode;
  if ((mode & abi::kShmDest) != 0) return;  // it is watched already
  if (segment->in_use()) {
    mode |= abi::kShmDest;
    if (!rmid_forced_) files_.watch(*segment);
    // The last mapping may have gone between the question and the watch.
    if (segment->in_use()) return;
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
}

void Registry::carry_out(const SetLocked& change, Dropped& /*dropped*/) {
  account_lock(*change.segment, change.locked, change.uid);
}

void Registry::carry_out(const DropIfOver& change, Dropped& dropped) {
  const auto current = state_.find(change.segment->id());
  if (current && *current == change.segment && over(*change.segment)) {
    destroy(change.segment, dropped);
  }
}

void Registry::carry_out(const ForgetCreator& change, Dropped& dropped) {
  for (const SegmentPointer& segment : state_.all()) {
    SegmentState& state = state_.of(*segment);
    if (state.creator != change.creator) continue;
    state.creator.reset();
    if (rmid_forced_ && over(*segment)) destroy(segment, dropped);
  }
}

void Registry::carry_out(const SetLimit& change, Dropped& /*dropped*/) { state_.set(change); }

// ipc_idr_alloc() takes kernel.shm_next_id back before it looks for a free index.
void Registry::carry_out(const SetNextId& change, Dropped& /*dropped*/) {
  state_.set_next_id_hint(change.id);
}

void Registry::carry_out(const SetRmidForced& change, Dropped& dropped) {
  if (rmid_forced_ == change.forced) return;
  rmid_forced_ = change.forced;
  // Every last detach counts from now on, not only those of removed segments.
  for (const SegmentPointer& segment : state_.all()) {
    if ((state_.of(*segment).perm.mode & abi::kShmDest) != 0) continue;
    if (change.forced) {
      if (!segment->in_use()) segment->forget_openings();
      files_.watch(*segment);
      if (over(*segment)) destroy(segment, dropped);
    } else {
      files_.unwatch(*segment);
    }
  }
}

void Registry::destroy(const SegmentPointer& segment, Dropped& dropped) {
  dropped.add(segment, files_.freeing());
  withdraw(segment);
}

void Registry::withdraw(const SegmentPointer& segment) {
  const bool removed = (state_.of(*segment).perm.mode & abi::kShmDest) != 0;
  if (removed || rmid_forced_) files_.unwatch(*segment);
  account_lock(*segment, false, 0);
  files_.remove(*segment);
  state_.erase(*segment);
}

void Registry::account_lock(Segment& segment, bool locked, uid_t uid) {
  SegmentState& state = state_.of(segment);
  if (locked == ((state.perm.mode & abi::kShmLocked) != 0)) return;
  if (locked) {
    files_.lock_accounts().charge(uid, segment.size_pages());
    state.locked_by = uid;
    state.perm.mode |= abi::kShmLocked;
  } else {
    files_.lock_accounts().give_back(state.locked_by, segment.size_pages());
    state.perm.mode &= ~abi::kShmLocked;
  }
}

LockMode Registry::lock_mode(const Segment& segment) const {
  const ReadLock lock(lock_);
  if ((state_.of(segment).perm.mode & abi::kShmLocked) == 0) return LockMode::kNone;
  // As in the kernel nothing is allocated for it: what is there is locked now, the rest when it
  // comes.
  return segment.memory().is_committed() ? LockMode::kEager : LockMode::kLazy;
}

}  // namespace shmvisor
