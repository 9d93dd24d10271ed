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
constexpr std::size_t kStackBytes = std::size_t{64} * 1024;
constexpr std::size_t kClosedAtOnce = 32;

std::int64_t most_of_this_process() {
  constexpr rlim_t kMost = 1U << 30;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return map_descriptors(static_cast<std::int64_t>(std::min(limit.rlim_cur, kMost)));
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

bool KeptMaps::take_unused(std::span<MapPointer> taken) {
  const auto now = Clock::now();
  auto next = taken.begin();
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const auto at = entry++;
    if (now - at->second.used < kUnused) continue;
    if (at->second.map != nullptr) {
      if (next == taken.end()) return false;
      *next++ = std::move(at->second.map);
      --kept_;
    }
    entries_.erase(at);
  }
  return true;
}

void KeptMaps::close_unused() noexcept {
  MutexLock lock(mutex_);
  auto next = Clock::now() + kUnused;
  while (!over_ && !entries_.empty()) {
    if (changed_.wait_until(mutex_, next)) continue;
    next = Clock::now() + kUnused;
    bool all_taken = false;
    while (!all_taken) {
      std::array<MapPointer, kClosedAtOnce> unused;
      all_taken = take_unused(unused);
      lock.unlock();  // attaches wait for it
      unused.fill(nullptr);
      lock.lock();
    }
  }
  closing_ = false;
  changed_.notify_all();
}

}  // namespace shmvisor
