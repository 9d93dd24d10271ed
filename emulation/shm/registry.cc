#include "emulation/shm/registry.h"

#include <algorithm>
#include <mutex>
#include <new>
#include <shared_mutex>
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
  table_.for_each([&](const SegmentPointer& entered) {
    const SegmentPointer segment = entered;  // which is about to go
    // What processes that outlive us still map stays theirs; to empty it would take it from them.
    try {
      if (!segment->in_use()) dropped.add(segment, files_.freeing());
    } catch (const std::bad_alloc&) {  // it goes with its last descriptor
    }
    withdraw(segment);
  });
  try {
    dropped.free_aside(host_);
  } catch (const std::bad_alloc&) {  // the same
  }
}

void Registry::settle() {
  files_.settle();
  if (!rmid_forced_) return;
  Dropped dropped;
  drop_orphans(dropped);
  dropped.free_aside(host_);
}

void Registry::settle_id(int id) {
  settle_found([&]() -> SegmentPointer {
    const auto found = table_.find(id);
    return found ? *found : nullptr;
  });
}

void Registry::settle_index(int id) {
  settle_found([&]() -> SegmentPointer {
    const auto found = table_.find_index(id);
    return found ? *found : nullptr;
  });
}

void Registry::settle_key(key_t key) {
  settle_found([&] { return find_key(key); });
}

template <typename Find>
void Registry::settle_found(Find find) {
  if (!files_.watches_any()) return;
  std::shared_lock look(mutex_);
  const SegmentPointer found = find();
  look.unlock();
  if (found != nullptr) settle_one(found);
}

void Registry::settle_one(const SegmentPointer& segment) {
  if (!segment->ends_unmapped()) return;
  std::optional<CreatorThread> creator;
  bool may_be_over = false;
  {
    const std::shared_lock look(mutex_);
    creator = segment->creator;
    may_be_over = over(*segment);
  }
  const bool orphaned = rmid_forced_ && creator && !may_be_over && !host_.thread_lives(*creator);
  if (!may_be_over && !orphaned) return;
  Dropped dropped;
  if (orphaned) {
    const std::unique_lock lock(mutex_);
    forget_creator(*creator, dropped);
  }
  drop_if_over(segment, dropped);
  dropped.free_aside(host_);
}

bool Registry::over(const Segment& segment) const {
  const bool removed = (segment.perm.mode & abi::kShmDest) != 0;
  // shm_may_destroy(), when a mapping goes or the creator ends.
  const bool forced = rmid_forced_ && (segment.was_opened() || !segment.creator);
  return (removed || forced) && !segment.in_use();
}

void Registry::drop_if_over(const SegmentPointer& segment, Dropped& dropped) {
  const std::unique_lock lock(mutex_);
  const auto current = table_.find(segment->id());
  if (current && *current == segment && over(*segment)) destroy(segment, dropped);
}

void Registry::end_opening(const SegmentPointer& segment) {
  segment->end_opening();
  // Whoever looked meanwhile found it in use.
  files_.drop_if_over(segment);
}

bool Registry::anything_mapped() const {
  std::vector<SegmentPointer> segments;
  {
    const std::shared_lock lock(mutex_);
    segments = all();
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
    const std::shared_lock lock(mutex_);
    table_.for_each_from(range.first_index, [&](const SegmentPointer& segment) {
      segments.push_back(segment);
      rows.push_back({segment->id(), describe(*segment, viewpoint), {}});
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

Limits Registry::limits() const {
  const std::shared_lock lock(mutex_);
  return limits_;
}

void Registry::set_limits(const Limits& limits) {
  const std::unique_lock lock(mutex_);
  limits_ = limits;
}

void Registry::update_limits(const std::function<void(Limits&)>& change) {
  const std::unique_lock lock(mutex_);
  change(limits_);
}

void Registry::set_rmid_forced(bool forced) {
  // What it has doomed so far goes, also where nobody has seen it yet.
  settle();
  Dropped dropped;
  {
    const std::unique_lock lock(mutex_);
    if (rmid_forced_ == forced) return;
    rmid_forced_ = forced;
    // Every last detach counts from now on, not only those of removed segments.
    for (const SegmentPointer& segment : all()) {
      if ((segment->perm.mode & abi::kShmDest) != 0) continue;
      if (forced) {
        if (!segment->in_use()) segment->forget_openings();
        files_.watch(*segment);
        if (over(*segment)) destroy(segment, dropped);
      } else {
        files_.unwatch(*segment);
      }
    }
  }
  next_creator_index_ = 0;
  while (forced && !drop_orphans(dropped)) {
  }
  dropped.free_aside(host_);
}

void Registry::disown(const CreatorThread& creator) {
  Dropped dropped;
  {
    const std::unique_lock lock(mutex_);
    forget_creator(creator, dropped);
  }
  dropped.free_aside(host_);
}

void Registry::forget_creator(const CreatorThread& creator, Dropped& dropped) {
  for (const SegmentPointer& segment : all()) {
    if (segment->creator != creator) continue;
    segment->creator.reset();
    if (rmid_forced_ && over(*segment)) destroy(segment, dropped);
  }
}

bool Registry::drop_orphans(Dropped& dropped) {
  for (const CreatorThread& creator : next_creators()) {
    if (host_.thread_lives(creator)) continue;
    const std::unique_lock lock(mutex_);
    forget_creator(creator, dropped);
  }
  return next_creator_index_ == 0;
}

std::vector<CreatorThread> Registry::next_creators() {
  const int from = next_creator_index_;
  int next = 0;
  std::vector<CreatorThread> creators;
  const std::shared_lock lock(mutex_);
  table_.for_each([&](const SegmentPointer& segment) {
    const int index = IdSpace::index_of(segment->id());
    if (index < from || next != 0 || !segment->creator) return;
    if (std::ranges::find(creators, *segment->creator) != creators.end()) return;
    if (creators.size() == kMostCreators) {
      next = index;
    } else {
      creators.push_back(*segment->creator);
    }
  });
  next_creator_index_ = next;
  return creators;
}

Registry::SegmentPointer Registry::find_key(key_t key) const {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : found->second;
}

std::vector<Registry::SegmentPointer> Registry::all() const {
  std::vector<SegmentPointer> segments;
  table_.for_each([&](const SegmentPointer& segment) { segments.push_back(segment); });
  return segments;
}

PageUsage Registry::usage() const {
  std::vector<SegmentPointer> segments;
  {
    const std::shared_lock lock(mutex_);
    segments = all();
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

ShmidDs Registry::describe(const Segment& segment, Viewpoint& viewpoint) {
  const IpcPerm& perm = segment.perm;
  const AttachStamps stamps = segment.stamps();
  ShmidDs ds;
  ds.key = perm.key;
  ds.uid = viewpoint.show_uid(perm.uid);
  ds.gid = viewpoint.show_gid(perm.gid);
  ds.cuid = viewpoint.show_uid(perm.cuid);
  ds.cgid = viewpoint.show_gid(perm.cgid);
  ds.mode = perm.mode;
  ds.seq = static_cast<std::uint16_t>(IdSpace::seq_of(segment.id()));
  ds.segsz_bytes = segment.size_bytes();
  ds.atime = stamps.atime;
  ds.dtime = stamps.dtime;
  ds.ctime = segment.ctime_seconds;
  ds.cpid = viewpoint.show_pid(segment.cpid());
  ds.lpid = viewpoint.show_pid(stamps.lpid);
  return ds;
}

void Registry::apply(const Change& change, Dropped& dropped) {
  std::visit([&](const auto& one) { carry_out(one, dropped); }, change);
}

void Registry::prepare(const Change& change) {
  const auto* const insert = std::get_if<InsertSegment>(&change);
  if (insert == nullptr) return;
  const SegmentPointer& segment = insert->segment;
  try {
    table_.reserve(insert->free);
    files_.add(segment, *this);
    if (segment->perm.key != abi::kIpcPrivate) by_key_.emplace(segment->perm.key, segment);
    if (rmid_forced_) files_.watch(*segment);
  } catch (...) {
    by_key_.erase(segment->perm.key);
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
  by_key_.erase(segment.perm.key);
}

void Registry::carry_out(const InsertSegment& change, Dropped& /*dropped*/) {
  const SegmentPointer& segment = change.segment;
  if (prepared_ != segment.get()) prepare(change);
  prepared_ = nullptr;
  next_id_hint_ = -1;
  total_pages_ += segment->size_pages();
  table_.insert(change.free, segment);
}

// do_shm_rmid(): destroys it, or marks it SHM_DEST and takes its key away while it is mapped.
void Registry::carry_out(const RemoveSegment& change, Dropped& dropped) {
  const SegmentPointer& segment = change.segment;
  if (segment->perm.key != abi::kIpcPrivate) {
    by_key_.erase(segment->perm.key);
    segment->perm.key = abi::kIpcPrivate;
  }
  if ((segment->perm.mode & abi::kShmDest) != 0) return;  // it is watched already
  if (segment->in_use()) {
    segment->perm.mode |= abi::kShmDest;
    if (!rmid_forced_) files_.watch(*segment);
    // The last mapping may have gone between the question and the watch.
    if (segment->in_use()) return;
  }
  destroy(segment, dropped);
}

void Registry::carry_out(const SetPermissions& change, Dropped& /*dropped*/) {
  IpcPerm& perm = change.segment->perm;
  perm.uid = change.uid;
  perm.gid = change.gid;
  perm.mode = (perm.mode & ~abi::kPermissionBits) | (change.mode & abi::kPermissionBits);
  change.segment->ctime_seconds = change.now_seconds;
}

void Registry::carry_out(const SetLocked& change, Dropped& /*dropped*/) {
  account_lock(*change.segment, change.locked, change.uid);
}

// ipc_idr_alloc() takes kernel.shm_next_id back before it looks for a free index.
void Registry::carry_out(const ForgetNextId& /*change*/, Dropped& /*dropped*/) {
  next_id_hint_ = -1;
}

void Registry::destroy(const SegmentPointer& segment, Dropped& dropped) {
  dropped.add(segment, files_.freeing());
  withdraw(segment);
}

void Registry::withdraw(const SegmentPointer& segment) {
  if ((segment->perm.mode & abi::kShmDest) != 0 || rmid_forced_) files_.unwatch(*segment);
  account_lock(*segment, false, 0);
  if (segment->perm.key != abi::kIpcPrivate) by_key_.erase(segment->perm.key);
  total_pages_ -= segment->size_pages();
  files_.remove(*segment);
  table_.erase(segment->id());
}

void Registry::account_lock(Segment& segment, bool locked, uid_t uid) {
  if (locked == ((segment.perm.mode & abi::kShmLocked) != 0)) return;
  if (locked) {
    files_.lock_accounts().charge(uid, segment.size_pages());
    segment.locked_by = uid;
    segment.perm.mode |= abi::kShmLocked;
  } else {
    files_.lock_accounts().give_back(segment.locked_by, segment.size_pages());
    segment.perm.mode &= ~abi::kShmLocked;
  }
}

LockMode Registry::lock_mode(const Segment& segment) const {
  const std::shared_lock look(mutex_);
  if ((segment.perm.mode & abi::kShmLocked) == 0) return LockMode::kNone;
  // As in the kernel nothing is allocated for it: what is there is locked now, the rest when it
  // comes.
  return segment.memory().is_committed() ? LockMode::kEager : LockMode::kLazy;
}

}  // namespace shmvisor
