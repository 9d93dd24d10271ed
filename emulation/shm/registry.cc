#include "emulation/shm/registry.h"

#include <mutex>
#include <shared_mutex>

namespace shmvisor {
namespace {

/// At processes that hide from one look, or that we may not look into; or at a description that
/// nobody has mapped yet, or any more.
constexpr int kMostLooks = 8;

}  // namespace

Registry::~Registry() {
  for (const SegmentPointer& segment : all()) destroy(segment);
}

void Registry::settle() {
  files_.settle();
  if (!rmid_forced_) return;
  const std::unique_lock lock(mutex_);
  drop_orphans();
}

bool Registry::over(const Segment& segment) const {
  const bool may_go = (segment.perm.mode & abi::kShmDest) != 0 || rmid_forced_;
  return may_go && !segment.memory().in_use();
}

void Registry::drop_if_over(const SegmentPointer& segment) {
  const std::unique_lock lock(mutex_);
  const auto current = table_.find(segment->id());
  if (current && *current == segment && over(*segment)) destroy(segment);
}

bool Registry::anything_mapped() const {
  const std::shared_lock lock(mutex_);
  bool mapped = false;
  table_.for_each([&](const SegmentPointer& segment) { mapped |= segment->memory().in_use(); });
  return mapped;
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
      if (counts[place] != 0 || !segments[place]->memory().in_use()) continue;
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
  std::vector<SegmentPointer> mapped;
  std::vector<std::size_t> mapped_row;
  if (range.most == 0) return rows;
  {
    const std::shared_lock lock(mutex_);
    table_.for_each_from(range.first_index, [&](const SegmentPointer& segment) {
      if (range.count_attaches && segment->memory().in_use()) {
        mapped.push_back(segment);
        mapped_row.push_back(rows.size());
      }
      rows.push_back({segment->id(), describe(*segment, viewpoint), segment->memory().usage()});
      return rows.size() < range.most;
    });
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
  const std::unique_lock lock(mutex_);
  if (rmid_forced_ == forced) return;
  rmid_forced_ = forced;
  // Every last detach counts now, not only those of removed segments.
  for (const SegmentPointer& segment : all()) {
    if ((segment->perm.mode & abi::kShmDest) != 0) continue;
    if (forced) {
      files_.watch(*segment);
    } else {
      files_.unwatch(*segment);
    }
  }
  if (forced) drop_orphans();
}

void Registry::disown(const CreatorThread& creator) {
  const std::unique_lock lock(mutex_);
  for (const SegmentPointer& segment : all()) {
    if (segment->creator != creator) continue;
    segment->creator.reset();
    if (rmid_forced_ && over(*segment)) destroy(segment);
  }
}

void Registry::drop_orphans() {
  for (const SegmentPointer& segment : all()) {
    if (segment->creator && host_.thread_lives(*segment->creator)) continue;
    segment->creator.reset();
    if (over(*segment)) destroy(segment);
  }
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
  PageUsage sum;
  table_.for_each([&sum](const SegmentPointer& segment) {
    const PageUsage one = segment->memory().usage();
    sum.resident += one.resident;
    sum.swapped += one.swapped;
  });
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

void Registry::insert(const FreeId& free, const SegmentPointer& segment) {
  next_id_hint_ = -1;
  total_pages_ += segment->size_pages();
  files_.add(segment, *this);
  if (rmid_forced_) files_.watch(*segment);
  if (segment->perm.key != abi::kIpcPrivate) by_key_.emplace(segment->perm.key, segment);
  table_.insert(free, segment);
}

void Registry::remove(const SegmentPointer& segment) {
  if (segment->perm.key != abi::kIpcPrivate) {
    by_key_.erase(segment->perm.key);
    segment->perm.key = abi::kIpcPrivate;
  }
  if ((segment->perm.mode & abi::kShmDest) != 0) return;  // it is watched already
  if (segment->memory().in_use()) {
    segment->perm.mode |= abi::kShmDest;
    if (!rmid_forced_) files_.watch(*segment);
    // The last mapping may have gone between the question and the watch.
    if (segment->memory().in_use()) return;
  }
  destroy(segment);
}

void Registry::destroy(const SegmentPointer& segment) {
  if ((segment->perm.mode & abi::kShmDest) != 0 || rmid_forced_) files_.unwatch(*segment);
  if ((segment->perm.mode & abi::kShmLocked) != 0) set_locked(*segment, false, 0);
  if (segment->perm.key != abi::kIpcPrivate) by_key_.erase(segment->perm.key);
  total_pages_ -= segment->size_pages();
  files_.remove(*segment);
  table_.erase(segment->id());
}

void Registry::set_locked(Segment& segment, bool locked, uid_t uid) {
  if (locked == ((segment.perm.mode & abi::kShmLocked) != 0)) return;
  if (locked) {
    files_.lock_accounts().charge(uid, segment.size_pages());
    segment.locked_by = uid;
    segment.perm.mode |= abi::kShmLocked;
  } else {
    files_.lock_accounts().give_back(segment.locked_by, segment.size_pages());
    segment.perm.mode &= ~abi::kShmLocked;
  }
  BackingMemory& memory = segment.memory();
  if (!locked) {
    memory.lock(LockMode::kNone);
  } else {
    memory.lock(memory.is_committed() ? LockMode::kEager : LockMode::kLazy);
  }
}

}  // namespace shmvisor
