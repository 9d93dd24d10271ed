#include "supervisor/attaches/process_look.h"

#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>

#include "policy/base/held_locks.h"
#include "supervisor/attaches/own_thread.h"
#include "supervisor/attaches/visit_areas.h"
#include "supervisor/procfs/proc_file.h"

namespace shmvisor {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kBetweenGlances(5);
/// What no other thread shall wait for a CPU: less than a tick of the scheduler.
constexpr milliseconds kLongQuery(2);
/// A mapping that is counted, twice what it takes: never what makes a count inexact.
constexpr microseconds kForOneFound(3);

std::vector<pid_t> both(std::vector<pid_t> pids, std::span<const pid_t> more) {
  pids.insert(pids.end(), more.begin(), more.end());
  return pids;
}

/// The errors of a look that failed because we lack resources.
bool out_of_means(Errno error) {
  return error == Errno(EMFILE) || error == Errno(ENFILE) || error == Errno(ENOMEM);
}

}  // namespace

ProcessLook::ProcessLook(const KernelFeatures& features, std::shared_ptr<KnownMappings> memory,
                         std::span<const FileIdentity> files, std::vector<pid_t> pids,
                         std::span<const pid_t> only_probed, const Times& times)
    : features_(features),
      memory_(std::move(memory)),
      files_(files.begin(), files.end()),
      first_probed_(pids.size()),
      pids_(both(std::move(pids), only_probed)),
      times_(times),
      distinct_(memory_->distinct(files.front())),
      counted_(features, distinct_),
      totals_{std::vector<std::uint64_t>(files.size())} {
  for (std::size_t place = 0; place < files_.size(); ++place) {
    places_[files_[place].inode].push_back(place);
    if (std::ranges::find(devices_, files_[place].device) == devices_.end()) {
      devices_.push_back(files_[place].device);
    }
  }
}

/// Each query takes the walk to a shared mapping, or to the end.
bool ProcessLook::Found::wants_steps(nanoseconds worked) const {
  return (by_text ? worked : worked / (shared + 1)) >= kLongQuery;
}

void ProcessLook::Found::add(const MappedArea& mapped, const ProcessLook& look) {
  ++shared;
  if (std::ranges::find(look.devices_, mapped.file.device) == look.devices_.end()) return;
  if (const auto known = files.find(mapped.file); known != files.end()) {
    ++known->second;
  } else if (files.size() < KnownMappings::kMostFiles) {
    files.emplace(mapped.file, 1);
  }
  const auto same_inode = look.places_.find(mapped.file.inode);
  if (same_inode == look.places_.end()) return;
  for (const std::size_t place : same_inode->second) {
    if (look.files_[place] == mapped.file) space.starts[place].push_back(mapped.range.start);
  }
}

std::int64_t ProcessLook::Found::mappings() const {
  std::int64_t all = 0;
  for (const auto& one : space.starts) all += static_cast<std::int64_t>(one.size());
  return all;
}

/// ESRCH where the task has no address space (any more).
Result<ProcessLook::Found> ProcessLook::find_in_task(pid_t pid, pid_t tid) {
  phase_ = Phase::kOpening;
  auto map = KeptMaps::all().open(tid, features_, distinct_);
  if (!map) return map.error();
  const bool by_text = memory_->wants_steps(pid) || !features_.usable(KernelFeature::kProcmapQuery);
  auto found = walk((*map)->map(), pid, tid, by_text);
  if (!found) return found;
  if (found->mappings() != 0) found->space.inode = (*map)->map().inode();
  if (tid == pid && !found->by_text) KeptMaps::all().keep(pid, std::move(*map));
  return found;
}

Result<ProcessLook::Found> ProcessLook::walk(MemoryMap& map, pid_t pid, pid_t tid, bool by_text) {
  phase_ = Phase::kWalking;
  Found found;
  found.space.pid = tid;
  found.space.starts.resize(files_.size());
  const auto visit = [&](const MappedArea& mapped) { found.add(mapped, *this); };
  // No thread waits for a look that was given up, and what an earlier look found suffices. Unless
  // the earlier look took no time: then the thread that gave up may have waited for a lock of ours,
  // and takes what is found now.
  const auto go_on = [&] { return !given_up_ || alone_ || !memory_->is_slow(pid); };
  found.by_text = by_text;
  const auto visited =
      found.by_text ? visit_in_steps(map, visit, go_on) : visit_by_queries(map, visit, go_on);
  if (!visited) return visited.error();
  return found;
}

std::optional<Result<ProcessLook::Found>> ProcessLook::find_by_kept_map(pid_t pid) {
  const auto kept = KeptMaps::all().of(pid);
  if (kept == nullptr || memory_->wants_steps(pid)) return std::nullopt;
  // Others may look by the same map, and text has one position in the file.
  auto found = walk(kept->map(), pid, pid, /*by_text=*/false);
  if (!found) {
    if (found.error() != Errno(ESRCH)) return found;
    KeptMaps::all().drop(pid);  // by an exec, or its end
    return std::nullopt;
  }
  if (found->mappings() == 0) return found;
  found->space.inode = kept->inode();
  // A map that was opened since the count began anew is as good as a map that is opened now.
  found->kept = times_.opened_since == Clock::time_point();
  const bool believed = is_known(found->space) && kept->distinct() == distinct_.get() &&
                        kept->opened() > times_.opened_since;
  return believed ? std::optional(std::move(found)) : std::nullopt;
}

bool ProcessLook::is_known(const CountedSpaces::Space& space) const {
  return distinct_ != nullptr && distinct_->has(space.pid, space.inode);
}

Result<ProcessLook::Found> ProcessLook::find_in(pid_t pid) {
  if (auto found = find_by_kept_map(pid)) return std::move(*found);
  auto found = find_in_task(pid, pid);
  if (found || found.error() != Errno(ESRCH)) return found;
  // A process whose first thread has ended shows its memory through the others.
  const auto threads = numbered_entries(proc_path(pid, "task"));
  if (!threads) return out_of_means(threads.error()) ? threads.error() : found.error();
  for (const pid_t tid : *threads) {
    found = find_in_task(pid, tid);
    if (found || out_of_means(found.error())) break;
  }
  return found;
}

Result<ProcessLook::Found> ProcessLook::probe(pid_t pid) {
  phase_ = Phase::kWalking;  // its map could be opened
  auto map = MemoryMap::open(pid, features_);
  if (!map) return map.error();
  Found found;
  found.space.pid = pid;
  found.space.starts.resize(files_.size());
  for (std::size_t place = 0; place < files_.size(); ++place) {
    auto& starts = found.space.starts[place];
    for (const std::uint64_t address : memory_->places_of(files_[place])) {
      if (given_up_) return Errno(EAGAIN);
      const auto area = map->area_above(address, Areas::kAll);
      if (!area) return area.error();
      if (*area && (*area)->range.start == address && (*area)->file == files_[place]) {
        starts.push_back(address);
      }
    }
    // Wherever it attached the file itself.
    if (starts.empty() && memory_->attached_unseen(pid, files_[place])) starts.push_back(0);
  }
  return found;
}

void ProcessLook::count(CountedSpaces::Space space, CountedSpaces::Order order) {
  const bool only_probed = at_ >= first_probed_;
  MappingCounts::LastKnown last{space.pid, {}};
  for (std::size_t file = 0; file < files_.size(); ++file) {
    const std::uint64_t mappings = space.starts[file].size();
    totals_.of_files[file] += mappings;
    if (only_probed && mappings != 0) last.mapped.push_back({file, mappings});
  }
  if (only_probed) totals_.last_known.push_back(std::move(last));
  counted_.add(std::move(space), std::move(order));
}

void ProcessLook::run() noexcept {
  try {
    look();
  } catch (const std::bad_alloc&) {
    const MutexLock lock(mutex_);
    failure_ = Errno(ENOMEM);
  }
  {
    const MutexLock lock(mutex_);
    if (late_) memory_->end_late(pids_[at_]);
    done_ = true;
  }
  // The waiting thread runs at once, and would wait for the lock.
  ended_.notify_all();
}

void ProcessLook::look() {
  MutexLock lock(mutex_);
  if (given_up_ && !late_) return;  // it came too late itself
  const pid_t own = tid_ = gettid();
  work_then_ = cpu_time(own);
  const bool may_probe = features_.usable(KernelFeature::kProcmapQuery);
  for (; at_ < pids_.size(); ++at_) {
    const pid_t pid = pids_[at_];
    since_ = Clock::now();
    phase_ = Phase::kOpening;
    const nanoseconds work_then = work_then_;
    const bool only_probed = at_ >= first_probed_;
    lock.unlock();
    const KnownMappings::Looking looking(*memory_, pid);
    const bool is_known = memory_->knows(pid);
    const auto switches =
        only_probed ? std::nullopt : KeptMaps::all().begin_rest(pid, times_.listed);
    auto found = only_probed ? probe(pid) : find_in(pid);
    if (switches) note_rest(pid, *switches, found);
    if (!found && found.error() != Errno(ESRCH)) any_refused_ = true;
    const nanoseconds work_now = cpu_time(own);
    const nanoseconds worked = work_now - work_then;
    if (found && !only_probed) {
      std::vector<MappedFile> files;
      files.reserve(found->files.size());
      for (const auto& [file, mappings] : found->files) files.push_back({file, mappings});
      memory_->remember(pid, std::move(files), worked, found->wants_steps(worked));
      if (worked >= KnownMappings::kSlow) memory_->note_places(files_, found->space.starts);
    }
    const nanoseconds beside = worked - (found ? kForOneFound * found->mappings() : nanoseconds(0));
    lock.lock();
    work_then_ = work_now;
    // Where it cannot be probed a process that is not known counts as 0 when its look is given up:
    // there a first look takes nothing from the looks at others.
    if ((is_known || may_probe) && beside >= KnownMappings::kSlow) long_work_ += beside;
    if (given_up_) return;
    if (!found && out_of_means(found.error())) {
      failure_ = Errno(ENOMEM);
      return;
    }
    if (!found || found->mappings() == 0) {
      if (only_probed) totals_.last_known.push_back({pid, {}});
      continue;
    }
    if (!note_use(*found)) return;
    current_ = std::move(found->space);
    phase_ = Phase::kComparing;
    lock.unlock();
    auto order = counted_.place_of(current_);
    lock.lock();
    if (given_up_) return;
    if (order) count(std::move(current_), std::move(*order));
  }
  lock.unlock();
  memory_->remember_distinct(files_.front(), counted_.newly_distinct());
  if (any_refused_ || !counted_.none_shared()) return;
  for (Resting& one : resting_) {
    KeptMaps::all().end_rest(one.pid, one.switches, std::move(one.mapped));
  }
}

void ProcessLook::note_rest(pid_t pid, std::uint64_t switches, const Result<Found>& found) {
  if (!found && found.error() != Errno(ESRCH)) return;
  Resting resting{pid, switches, {}};
  for (std::size_t place = 0; place < files_.size(); ++place) {
    const std::size_t mappings = found ? found->space.starts[place].size() : 0;
    // Whether it shares its address space was only asked where it maps something.
    if (mappings != 0 || !found) resting.mapped.push_back({files_[place], mappings});
  }
  resting_.push_back(std::move(resting));
}

bool ProcessLook::note_use(const Found& found) {
  if (found.kept) {
    kept_counted_ = true;
  } else if (!is_known(found.space)) {
    new_counted_ = true;
  }
  return !(kept_counted_ && new_counted_);
}

bool ProcessLook::must_count_again() {
  const MutexLock lock(mutex_);
  return kept_counted_ && new_counted_;
}

bool ProcessLook::too_late(LookPatience& patience) const {
  const auto now = Clock::now();
  if (now - patience.began >= patience.most_time) return true;
  if (tid_ == 0) return false;  // no thread has begun yet
  const nanoseconds worked = cpu_time(tid_) - work_then_;
  if (worked >= patience.work_for_one()) {
    patience.charge(worked);
    return true;
  }
  // A thread that could run and does not get to is waited for.
  const nanoseconds waited = now - since_;
  if (waited < patience.wait_for_one() || !is_blocked(tid_)) return false;
  patience.charge_wait(waited);
  return true;
}

bool ProcessLook::wait(LookPatience& patience) {
  MutexLock lock(mutex_);
  const milliseconds between = patience.in_a_hurry() ? LookPatience::kLeast : kBetweenGlances;
  for (;;) {
    const auto glance = Clock::now() + between;
    while (!done_ && ended_.wait_until(mutex_, glance)) {
    }
    patience.charge(std::exchange(long_work_, nanoseconds(0)));
    if (done_) return true;
    // Behind the last process it is about to end.
    if (tid_ != 0 && at_ >= pids_.size()) continue;
    LosableThreads::Payer payer;
    if (tid_ != 0) {
      const std::size_t at = at_;
      lock.unlock();
      payer = memory_->payer_of(pids_[at]);
      lock.lock();
      if (done_ || at_ != at) continue;
    }
    if (!too_late(patience)) continue;
    ++patience.given_up;
    given_up_ = true;
    // A map that is opened no faster because this machine is busy belongs to no exec.
    const bool out_of_time = Clock::now() - patience.began >= patience.most_time;
    given_up_in_ = phase_;
    if (given_up_in_ == Phase::kOpening && (out_of_time || !is_blocked(tid_))) {
      given_up_in_ = Phase::kWalking;
    }
    if (tid_ == 0) return false;
    late_ = true;
    memory_->begin_late(pids_[at_], given_up_in_, payer);
    if (given_up_in_ == Phase::kComparing) {
      // It is found. The thread reads current_ and counted_ still, which stay as they are.
      for (std::size_t file = 0; file < files_.size(); ++file) {
        totals_.of_files[file] += current_.starts[file].size();
      }
    }
    return false;
  }
}

std::optional<Errno> ProcessLook::failure() {
  const MutexLock lock(mutex_);
  return failure_;
}

MappingCounts ProcessLook::totals() {
  const MutexLock lock(mutex_);
  return totals_;
}

ProcessLook::GivenUp ProcessLook::given_up() {
  const MutexLock lock(mutex_);
  if (!late_) return {0, Phase::kOpening, {pids_.begin(), pids_.end()}};
  const auto behind = pids_.begin() + static_cast<std::ptrdiff_t>(at_) + 1;
  return {pids_[at_], given_up_in_, {behind, pids_.end()}};
}

std::shared_ptr<ProcessLook> ProcessLook::look_at(std::vector<pid_t> rest,
                                                  std::span<const pid_t> only_probed) {
  const MutexLock lock(mutex_);
  auto look = std::make_shared<ProcessLook>(features_, memory_, files_, std::move(rest),
                                            only_probed, Times{times_.opened_since, {}});
  const MutexLock its(look->mutex_);
  look->totals_ = totals_;
  look->counted_ = counted_;
  look->kept_counted_ = kept_counted_;
  look->new_counted_ = new_counted_;
  return look;
}

void ProcessLook::leave_alone() {
  const LosableThreads::Payer payer = memory_->payer_of(pids_.front());
  const MutexLock lock(mutex_);
  given_up_ = late_ = alone_ = true;
  memory_->begin_late(pids_.front(), Phase::kWalking, payer);
}

}  // namespace shmvisor
