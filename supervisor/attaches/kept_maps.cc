#include "supervisor/attaches/kept_maps.h"

#include <sys/resource.h>

#include <algorithm>
#include <array>

#include "supervisor/kernel/thread.h"
#include "supervisor/resources/map_descriptors.h"

namespace shmvisor {
namespace {

/// Notes of processes, with a map or without.
constexpr std::size_t kMostEntries = 4096;
/// Looks, after a process has run once more: what asks for its rest takes as long as two.
constexpr int kMostLeft = 64;
/// Files of which it is known how often a process at rest maps them.
constexpr std::size_t kMostAtRest = 64;
constexpr std::size_t kStackBytes = std::size_t{64} * 1024;
constexpr std::size_t kClosedAtOnce = 32;

std::int64_t most_of_this_process() {
  constexpr rlim_t kMost = 1U << 30;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const auto all = static_cast<std::int64_t>(std::min(limit.rlim_cur, kMost));
  return map_descriptors(all) - spare_file_descriptors(all);
}

}  // namespace

Result<KeptMaps::MapPointer> KeptMaps::open(
    pid_t pid, const KernelFeatures& features,
    std::shared_ptr<const DistinctProcesses> distinct) const {
  auto opened = std::make_shared<Map>(features, std::move(distinct), drops_);
  auto map = MemoryMap::open(pid, opened->features_);
  if (!map) return map.error();
  opened->map_.emplace(std::move(*map));
  return opened;
}

KeptMaps& KeptMaps::all() {
  static KeptMaps* const maps = new KeptMaps(most_of_this_process());  // NOLINT: never destroyed
  return *maps;
}

KeptMaps::~KeptMaps() {
  const MutexLock lock(mutex_);
  over_ = true;
  changed_.notify_all();
  while (closing_) changed_.wait(mutex_);
}

KeptMaps::MapPointer KeptMaps::of(pid_t pid) {
  const MutexLock lock(mutex_);
  const auto entry = entries_.find(pid);
  if (entry == entries_.end() || entry->second.map == nullptr) return nullptr;
  entry->second.used = Clock::now();
  return entry->second.map;
}

void KeptMaps::keep(pid_t pid, MapPointer map) {
  if (most_ == 0) return;
  const auto now = Clock::now();
  // `map` is closed, if it is, when the lock is given back.
  const MutexLock lock(mutex_);
  if (!closing_) {
    closing_ = start_detached(close_unused, this, kStackBytes).ok();
    if (!closing_) return;
  }
  if (entries_.size() >= kMostEntries && !entries_.contains(pid)) return;
  const auto [entry, is_new] = entries_.try_emplace(pid);
  entry->second.used = now;
  const bool room = entry->second.map != nullptr || kept_ < most_;
  if (is_new || !room || map->drops_ != drops_) return;
  map->inode_ = map->map().inode();
  if (map->inode_ == 0) return;
  if (entry->second.map == nullptr) ++kept_;
  entry->second.map.swap(map);
}

void KeptMaps::drop(pid_t pid) {
  MapPointer closed;
  const MutexLock lock(mutex_);
  ++drops_;
  const auto entry = entries_.find(pid);
  if (entry == entries_.end() || entry->second.map == nullptr) return;
  closed.swap(entry->second.map);
  --kept_;
}

std::int64_t KeptMaps::count() const {
  const MutexLock lock(mutex_);
  return kept_;
}

void* KeptMaps::close_unused(void* self) {
  static_cast<KeptMaps*>(self)->close_unused();
  return nullptr;
}

bool KeptMaps::take_unused(std::span<Closed> taken) {
  const auto now = Clock::now();
  auto next = taken.begin();
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const auto at = entry++;
    if (now - at->second.used < kUnused) continue;
    if (at->second.map != nullptr || at->second.rest != nullptr) {
      if (next == taken.end()) return false;
      kept_ -= (at->second.map != nullptr ? 1 : 0) + (at->second.rest != nullptr ? 1 : 0);
      *next++ = {std::move(at->second.map), std::move(at->second.rest)};
    }
    entries_.erase(at);
  }
  return true;
}

KeptMaps::Entry* KeptMaps::find(pid_t pid) {
  const auto found = entries_.find(pid);
  if (found == entries_.end()) return nullptr;
  found->second.used = Clock::now();
  return &found->second;
}

KeptMaps::Rest* KeptMaps::unmoved(Entry& entry, Closed& closed) {
  if (entry.rest == nullptr || entry.rest->count.read() == entry.rest->switches) {
    return entry.rest.get();
  }
  closed.rest = std::move(entry.rest);
  --kept_;
  entry.leave();
  return nullptr;
}

void KeptMaps::Entry::leave() {
  looks_to_leave = leaves;
  leaves = std::min(2 * leaves, kMostLeft);
}

std::optional<std::uint64_t> KeptMaps::at_rest(pid_t pid, const FileIdentity& file) {
  Closed closed;
  const MutexLock lock(mutex_);
  Entry* const entry = find(pid);
  if (entry == nullptr) return std::nullopt;
  const Rest* const rest = unmoved(*entry, closed);
  if (rest == nullptr) return std::nullopt;
  const auto known = std::ranges::find(rest->mapped, file, &MappedFile::file);
  return known == rest->mapped.end() ? std::nullopt : std::optional(known->mappings);
}

bool KeptMaps::was_at_rest(pid_t pid) const {
  const MutexLock lock(mutex_);
  const auto found = entries_.find(pid);
  return found != entries_.end() && found->second.rest != nullptr &&
         !found->second.rest->mapped.empty();
}

std::optional<std::uint64_t> KeptMaps::begin_rest(pid_t pid, Clock::time_point listed) {
  std::uint64_t switches = 0;
  {
    Closed closed;
    const MutexLock lock(mutex_);
    Entry* const entry = find(pid);
    if (entry == nullptr || most_ == 0) return std::nullopt;
    if (entry->looks_to_leave > 0) {
      --entry->looks_to_leave;
      return std::nullopt;
    }
    if (entry->rest == nullptr) {
      auto count = SwitchCount::open(pid);
      const auto now = count ? count->read() : std::nullopt;
      entry->looks_to_leave = now ? 0 : kMostLeft;
      if (!now || (entry->map == nullptr && kept_ >= most_)) return std::nullopt;
      // In the place of its map, where there is no other.
      if (kept_ >= most_) {
        closed.map.swap(entry->map);
        --kept_;
      }
      ++kept_;
      entry->rest = std::make_unique<Rest>(Rest{std::move(*count), *now, std::nullopt, {}});
    }
    const Rest* const rest = unmoved(*entry, closed);
    if (rest == nullptr) return std::nullopt;
    switches = rest->switches;
    if (rest->off_cpu && *rest->off_cpu >= listed) return std::nullopt;
    if (rest->off_cpu && !has_one_thread(pid)) {
      entry->looks_to_leave = kMostLeft;
      return std::nullopt;
    }
    if (rest->off_cpu) return switches;
  }
  const bool off_cpu = was_off_cpu(pid);
  Closed closed;
  const MutexLock lock(mutex_);
  Entry* const entry = find(pid);
  if (entry == nullptr) return std::nullopt;
  Rest* const rest = unmoved(*entry, closed);
  if (rest == nullptr || rest->switches != switches) return std::nullopt;
  if (off_cpu) {
    rest->off_cpu = Clock::now();
  } else {
    entry->leave();
  }
  return std::nullopt;
}

void KeptMaps::end_rest(pid_t pid, std::uint64_t switches, std::vector<MappedFile> mapped) {
  Closed closed;
  const MutexLock lock(mutex_);
  Entry* const entry = find(pid);
  if (entry == nullptr) return;
  Rest* const rest = unmoved(*entry, closed);
  if (rest == nullptr || rest->switches != switches || !rest->off_cpu) return;
  if (mapped.empty()) {
    closed.rest = std::move(entry->rest);
    --kept_;
    entry->looks_to_leave = kMostLeft;
    return;
  }
  for (const MappedFile& one : rest->mapped) {
    if (mapped.size() >= kMostAtRest) break;
    if (std::ranges::find(mapped, one.file, &MappedFile::file) == mapped.end()) {
      mapped.push_back(one);
    }
  }
  rest->mapped = std::move(mapped);
  entry->leaves = 2;
  if (entry->map == nullptr) return;
  closed.map.swap(entry->map);
  --kept_;
}

void KeptMaps::close_unused() noexcept {
  MutexLock lock(mutex_);
  auto next = Clock::now() + kUnused;
  while (!over_ && !entries_.empty()) {
    if (changed_.wait_until(mutex_, next)) continue;
    next = Clock::now() + kUnused;
    bool all_taken = false;
    while (!all_taken) {
      std::array<Closed, kClosedAtOnce> unused;
      all_taken = take_unused(unused);
      lock.unlock();  // attaches wait for it
      for (Closed& one : unused) one = {};
      lock.lock();
    }
  }
  closing_ = false;
  changed_.notify_all();
}

}  // namespace shmvisor
