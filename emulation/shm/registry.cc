#include "emulation/shm/registry.h"

#include <algorithm>
#include <exception>
#include <new>
#include <optional>
#include <utility>

namespace shmvisor {
namespace {

/// At processes that hide from one look, or that we may not look into; or at a description that
/// nobody has mapped yet, or any more.
constexpr int kMostLooks = 8;
/// Whose life one call asks for on behalf of others.
constexpr std::size_t kMostCreators = 256;

}  // namespace

Registry::~Registry() {
  if (std::uncaught_exceptions() != 0) {
    // It may end this process, which takes nothing from the next one: the observer is not told.
    const WriteLock lock(lock_);
    (void)observer_.release();
  }
  unobserve();  // before memory goes: its descriptor may be another's at once
  DroppedAside dropped(host_);
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
}

void Registry::change(const Change& change) {
  DroppedAside dropped(host_);
  {
    const WriteLock lock(lock_);
    apply(change, dropped);
  }
}

void Registry::observe(std::unique_ptr<ChangeObserver> observer) {
  const WriteLock lock(lock_);
  observer_ = std::move(observer);
  observer_->begin(state_, rmid_forced_);
}

void Registry::tell_of_cleaned(CleanupObserver& observer, std::uint64_t ipc_namespace) {
  const WriteLock lock(lock_);
  cleanup_observer_ = &observer;
  ipc_namespace_ = ipc_namespace;
}

void Registry::unobserve() {
  const WriteLock lock(lock_);
  if (observer_ == nullptr) return;
  state_.for_each([&](const SegmentPointer& segment)
                      NO_THREAD_SAFETY_ANALYSIS { observer_->erased(*segment); });
  observer_->commit();
  observer_.reset();
}

void Registry::settle() {
  files_.settle();
  if (!rmid_forced_) return;
  DroppedAside dropped(host_);
  drop_orphans(dropped);
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
  DroppedAside dropped(host_);
  {
    const WriteLock lock(lock_);
    if (orphaned) apply(ForgetCreator{*creator}, dropped);
    apply(DropIfOver{segment}, dropped);
  }
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
  files_.drop_if_over(segment);
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
    std::span<const SegmentPointer> segments, pid_t waiting) const {
  if (segments.empty()) return std::vector<std::uint64_t>();
  bool complete = true;
  const auto count = [&](std::span<const SegmentPointer> asked) {
    std::vector<FileIdentity> files;
    files.reserve(asked.size());
    for (const SegmentPointer& segment : asked) files.push_back(segment->memory().identity());
    auto counted = host_.count_mappings(files, waiting);
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
  DroppedAside dropped(host_);
  {
    const WriteLock lock(lock_);
    apply(SetRmidForced{forced}, dropped);
  }
  next_creator_index_ = 0;
  while (forced && !drop_orphans(dropped)) {
  }
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

LockMode Registry::lock_mode(const Segment& segment) const {
  const ReadLock lock(lock_);
  if ((state_.of(segment).perm.mode & abi::kShmLocked) == 0) return LockMode::kNone;
  // As in the kernel nothing is allocated for it: what is there is locked now, the rest when it
  // comes.
  return segment.memory().is_committed() ? LockMode::kEager : LockMode::kLazy;
}

}  // namespace shmvisor
