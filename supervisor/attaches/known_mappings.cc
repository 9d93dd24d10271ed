#include "supervisor/attaches/known_mappings.h"

#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <unordered_set>

#include "supervisor/attaches/kept_maps.h"
#include "supervisor/attaches/thread_payer.h"

namespace shmvisor {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kTooSlow(25);
constexpr int kSlowLooks = 3;
/// Looks at a slow process that no thread waits for take a fiftieth of the time at most.
constexpr int kRestAfterLook = 50;
constexpr milliseconds kShortestRest(200);
constexpr std::size_t kMostPlaces = 16;

void add_file(std::vector<FileIdentity>& files, const FileIdentity& file) {
  if (files.size() < KnownMappings::kMostFiles && std::ranges::find(files, file) == files.end()) {
    files.push_back(file);
  }
}

void add_attached(std::vector<MappedFile>& files, const FileIdentity& file) {
  if (files.size() >= KnownMappings::kMostFiles ||
      std::ranges::find(files, file, &MappedFile::file) != files.end()) {
    return;
  }
  files.push_back({file, 1});
}

/// A look has not come to processes at rest: what was known of them before stays so.
std::shared_ptr<const DistinctProcesses> with_those_at_rest(
    std::shared_ptr<const DistinctProcesses> found,
    const std::shared_ptr<const DistinctProcesses>& before) {
  if (before == nullptr) return found;
  auto all = std::make_shared<DistinctProcesses>(*found);
  for (const auto& [pid, member] : before->members) {
    if (KeptMaps::all().was_at_rest(pid)) all->members.insert({pid, member});
  }
  return all;
}

/// 0 where it is gone.
std::uint64_t inode_of(pid_t pid) {
  struct stat status {};
  return ::stat(("/proc/" + std::to_string(pid)).c_str(), &status) == 0 ? status.st_ino : 0;
}

}  // namespace

bool KnownMappings::Record::slow() const { return took >= kSlow; }

bool KnownMappings::Record::too_slow() const {
  return took >= kTooSlow && slow_looks >= kSlowLooks;
}

std::optional<KnownMappings::Known> KnownMappings::known_of(pid_t pid) {
  const MutexLock lock(mutex_);
  const auto record = records_.find(pid);
  const auto late = late_.find(pid);
  if (late == late_.end() && (record == records_.end() || !record->second.slow())) {
    return std::nullopt;
  }
  Known known;
  if (late != late_.end()) known.late = late->second.phase;
  if (record == records_.end()) {
    // Whatever it has attached before and during the look that is late.
    if (const auto look = looks_.find(pid); look != looks_.end()) {
      for (const FileIdentity& file : look->second.before) add_attached(known.files, file);
      for (const FileIdentity& file : look->second.attached) add_attached(known.files, file);
    }
    return known;
  }
  // While a thread is in it the process is there.
  if (!known.late && inode_of(pid) != record->second.inode) {
    records_.erase(record);
    return std::nullopt;
  }
  known.seen = true;
  known.files = record->second.files;
  known.slow = record->second.slow();
  known.too_slow = record->second.too_slow();
  known.when = record->second.when;
  const auto rest =
      std::max<KnownMappings::Clock::duration>(record->second.took * kRestAfterLook, kShortestRest);
  known.needs_refreshing = known.slow && Clock::now() - record->second.when >= rest;
  return known;
}

bool KnownMappings::takes_long(std::span<const FileIdentity> files) const {
  const MutexLock lock(mutex_);
  return std::ranges::any_of(records_, [&](const auto& entry) {
    const Record& record = entry.second;
    return record.slow() && !record.too_slow() && maps_one_of(files, record.files);
  });
}

void KnownMappings::begin_look(pid_t pid) {
  const MutexLock lock(mutex_);
  ++looks_[pid].looks;
}

void KnownMappings::end_look(pid_t pid) {
  const MutexLock lock(mutex_);
  const auto look = looks_.find(pid);
  if (look == looks_.end() || --look->second.looks != 0) return;
  if (look->second.before.empty()) {
    looks_.erase(look);
  } else {
    look->second.attached.clear();  // `before` has what a look that found nothing could have missed
  }
}

void KnownMappings::note_attach(pid_t pid, const FileIdentity& file) {
  KeptMaps::all().drop(pid);
  const MutexLock lock(mutex_);
  const auto look = looks_.find(pid);
  if (look != looks_.end() && look->second.looks != 0) add_file(look->second.attached, file);
  const auto record = records_.find(pid);
  if (record != records_.end()) {
    if (record->second.slow()) add_attached(record->second.files, file);
  } else if (look != looks_.end() || looks_.size() < kMostProcesses) {
    add_file(looks_[pid].before, file);
  }
}

bool KnownMappings::attached_unseen(pid_t pid, const FileIdentity& file) const {
  const MutexLock lock(mutex_);
  const auto look = looks_.find(pid);
  return look != looks_.end() &&
         std::ranges::find(look->second.before, file) != look->second.before.end();
}

void KnownMappings::note_places(std::span<const FileIdentity> files,
                                std::span<const std::vector<std::uint64_t>> starts) {
  const MutexLock lock(mutex_);
  for (std::size_t at = 0; at < files.size(); ++at) {
    if (starts[at].empty()) continue;
    if (places_.size() >= kMostFiles) places_.clear();
    std::vector<std::uint64_t>& places = places_[files[at]];
    for (const std::uint64_t start :
         std::span(starts[at]).first(std::min(starts[at].size(), kMostPlaces))) {
      std::erase(places, start);
      if (places.size() >= kMostPlaces) places.erase(places.begin());
      places.push_back(start);
    }
  }
}

std::vector<std::uint64_t> KnownMappings::places_of(const FileIdentity& file) const {
  const MutexLock lock(mutex_);
  const auto places = places_.find(file);
  return places == places_.end() ? std::vector<std::uint64_t>() : places->second;
}

bool KnownMappings::knows(pid_t pid) const {
  const MutexLock lock(mutex_);
  return records_.contains(pid);
}

bool KnownMappings::is_slow(pid_t pid) const {
  const MutexLock lock(mutex_);
  const auto record = records_.find(pid);
  return record != records_.end() && record->second.slow();
}

std::optional<std::vector<MappedFile>> KnownMappings::seen_since(pid_t pid,
                                                                 Clock::time_point when) const {
  const MutexLock lock(mutex_);
  const auto record = records_.find(pid);
  if (record == records_.end() || record->second.when < when) return std::nullopt;
  return record->second.files;
}

bool KnownMappings::wants_steps(pid_t pid) const {
  const MutexLock lock(mutex_);
  const auto record = records_.find(pid);
  return record != records_.end() && record->second.wants_steps;
}

std::optional<std::vector<MappedFile>> KnownMappings::last_seen(pid_t pid) const {
  const MutexLock lock(mutex_);
  const auto record = records_.find(pid);
  return record == records_.end() ? std::nullopt : std::optional(record->second.files);
}

bool KnownMappings::mapped_one_of(pid_t pid, std::span<const FileIdentity> files) const {
  const MutexLock lock(mutex_);
  const auto record = records_.find(pid);
  return record != records_.end() && maps_one_of(files, record->second.files);
}

void KnownMappings::remember(pid_t pid, std::vector<MappedFile> files,
                             std::chrono::nanoseconds took, bool wants_steps) {
  const MutexLock lock(mutex_);
  if (const auto look = looks_.find(pid); look != looks_.end()) look->second.before.clear();
  if (files.empty() && took < kSlow) {
    if (!records_.empty()) records_.erase(pid);
    return;
  }
  if (records_.size() >= kMostProcesses && !records_.contains(pid)) return;
  if (const auto look = looks_.find(pid); took >= kSlow && look != looks_.end()) {
    for (const FileIdentity& file : look->second.attached) add_attached(files, file);
  }
  Record& record = records_[pid];
  const std::uint64_t inode = took < kSlow ? 0 : inode_of(pid);
  const bool in_a_row = took >= kTooSlow && record.inode == inode;
  record = {inode,
            std::move(files),
            took,
            Clock::now(),
            in_a_row ? record.slow_looks + 1 : (took >= kTooSlow ? 1 : 0),
            wants_steps};
}

LosableThreads::Payer KnownMappings::payer_of(pid_t pid) const {
  return shmvisor::payer_of(reinterpret_cast<std::uintptr_t>(this), pid);
}

void KnownMappings::begin_late(pid_t pid, Phase phase, const LosableThreads::Payer& payer) {
  LosableThreads::all().lose(payer);
  const MutexLock lock(mutex_);
  Late& late = late_[pid];
  late.phase = phase;
  late.payers.push_back(payer);
}

void KnownMappings::end_late(pid_t pid) {
  const MutexLock lock(mutex_);
  const auto late = late_.find(pid);
  if (late == late_.end()) return;
  LosableThreads::all().come_back(late->second.payers.back());
  late->second.payers.pop_back();
  if (late->second.payers.empty()) late_.erase(late);
}

bool KnownMappings::may_look_at(pid_t pid) const {
  const LosableThreads& threads = LosableThreads::all();
  return threads.may_lose_of_anybody(reinterpret_cast<std::uintptr_t>(this)) ||
         threads.may_lose(payer_of(pid));
}

int KnownMappings::lost() const {
  const MutexLock lock(mutex_);
  int all = 0;
  for (const auto& [pid, late] : late_) all += static_cast<int>(late.payers.size());
  return all;
}

std::shared_ptr<const DistinctProcesses> KnownMappings::distinct(const FileIdentity& file) const {
  const MutexLock lock(mutex_);
  const auto found = std::ranges::find(distinct_, file, &DistinctOfFile::file);
  return found == distinct_.end() ? nullptr : found->processes;
}

void KnownMappings::remember_distinct(const FileIdentity& file,
                                      std::shared_ptr<const DistinctProcesses> processes) {
  if (!processes || processes->members.size() > kMostProcesses) return;
  processes = with_those_at_rest(std::move(processes), distinct(file));
  const MutexLock lock(mutex_);
  std::erase_if(distinct_, [&file](const DistinctOfFile& one) { return one.file == file; });
  if (distinct_.size() >= kMostDistinct) distinct_.erase(distinct_.begin());
  distinct_.push_back({file, std::move(processes)});
}

void KnownMappings::prune(std::span<const pid_t> living) {
  const MutexLock lock(mutex_);
  if (records_.size() <= living.size() && looks_.size() <= living.size()) return;
  const std::unordered_set<pid_t> pids(living.begin(), living.end());
  std::erase_if(records_, [&pids](const auto& record) { return !pids.contains(record.first); });
  std::erase_if(looks_, [&pids](const auto& look) {
    return look.second.looks == 0 && !pids.contains(look.first);
  });
}

}  // namespace shmvisor
