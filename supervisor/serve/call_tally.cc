#include "supervisor/serve/call_tally.h"

#include <algorithm>
#include <climits>
#include <exception>
#include <new>
#include <utility>

#include "emulation/abi/shm_abi.h"
#include "policy/base/error_result.h"
#include "supervisor/serve/recent_name.h"

namespace shmvisor {
namespace {

/// What this thread counted last.
struct LastCounts {
  std::uint64_t epoch = 0;
  CallTally::Place place;
  std::shared_ptr<CallCounts> counts;
};
thread_local LastCounts t_last;

std::uint64_t next_epoch() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1) + 1;
}

}  // namespace

CallTally::CallTally() : epoch_(next_epoch()) {}

void CallTally::note_maker(const CallRecord& record, std::uint32_t session) noexcept {
  if (record.call && record.call->operation == ShmOperation::kShmctl &&
      record.call->command == abi::kIpcRmid && record.value == 0) {
    const int shmid = record.call->shmid;
    const bool is_gone = !record.registry.read()->find(shmid);
    note_removed({session, record.origin.ipc_namespace}, shmid, is_gone);
    return;
  }
  const bool made = record.changed && record.call && !is_error_result(record.value) &&
                    record.call->operation == ShmOperation::kShmget;
  if (!made) return;
  try {
    remember_maker(record, session);
  } catch (const std::exception&) {
    unnoted_.fetch_add(1, std::memory_order_relaxed);
  }
}

void CallTally::remember_maker(const CallRecord& record, std::uint32_t session) {
  const Place place(session, record.origin.ipc_namespace);
  const int shmid = static_cast<int>(record.value);
  Maker maker{record.origin.pid, recent_name(record.origin.tid).data()};
  Peak now;
  {
    const auto state = record.registry.read();
    now = {static_cast<std::uint64_t>(state->in_use()), state->total_pages()};
    if (const auto segment = state->find(shmid)) {
      const IpcPerm& perm = state->of(**segment).perm;
      maker.key = perm.key;
      maker.uid = perm.uid;
      maker.size_bytes = (*segment)->size_bytes();
    }
  }
  const MutexLock lock(mutex_);
  if (!raise_peak(place, now)) return;
  // An identifier comes again after very many others.
  if (makers_.size() >= kMostMakers) makers_.erase(makers_.begin());
  makers_.insert_or_assign(std::pair(place, shmid), std::move(maker));
}

bool CallTally::raise_peak(const Place& place, const Peak& now) {
  // One user can make namespaces without end. The registries that sessions begin with (0) are
  // bounded elsewhere.
  const bool has_room = place.second == 0 || peaks_.size() < kMostRegistries;
  if (!has_room && peaks_.find(place) == peaks_.end()) return false;
  Peak& peak = peaks_[place];
  peak.segments = std::max(peak.segments, now.segments);
  peak.pages = std::max(peak.pages, now.pages);
  return true;
}

void CallTally::note_peak(const Place& place, const Registry& registry) noexcept {
  Peak now;
  {
    const auto state = registry.read();
    now = {static_cast<std::uint64_t>(state->in_use()), state->total_pages()};
  }
  try {
    const MutexLock lock(mutex_);
    (void)raise_peak(place, now);
  } catch (const std::exception&) {
    unnoted_.fetch_add(1, std::memory_order_relaxed);
  }
}

std::shared_ptr<CallCounts> CallTally::counts_for(const Place& place) {
  const MutexLock lock(mutex_);
  const auto known = counts_.find(place);
  if (known != counts_.end()) return known->second;
  if (place.second != 0 && counts_.size() >= kMostRegistries) return nullptr;
  try {
    return counts_.emplace(place, std::make_shared<CallCounts>()).first->second;
  } catch (const std::bad_alloc&) {  // the next call tries again
    return nullptr;
  }
}

void CallTally::count(const RefusedCall& call, std::uint32_t session) noexcept {
  if (!call.call) return;
  const ShmOperation operation = call.call->operation;
  const bool failed = is_error_result(call.value);
  const Denial::Reason reason = call.denial.reason;
  std::optional<std::chrono::nanoseconds> took;
  if (call.origin.began) took = std::chrono::steady_clock::now() - *call.origin.began;
  all_.add(operation, failed, reason, took);
  const Place place(session, call.origin.ipc_namespace);
  LastCounts& last = t_last;
  const std::uint64_t epoch = epoch_.load(std::memory_order_acquire);
  if (last.epoch != epoch || last.place != place || last.counts == nullptr) {
    last = {epoch, place, counts_for(place)};
  }
  if (last.counts != nullptr) last.counts->add(operation, failed, reason, took);
  if (!took || took->count() <= slowest_ns_.load(std::memory_order_relaxed)) return;
  const MutexLock lock(mutex_);
  if (*took <= slowest_.took) return;
  slowest_ = {operation, *took, call.origin.pid};
  slowest_ns_.store(took->count(), std::memory_order_relaxed);
}

std::shared_ptr<const CallCounts> CallTally::counts(const Place& place) const {
  const MutexLock lock(mutex_);
  const auto known = counts_.find(place);
  return known == counts_.end() ? nullptr : known->second;
}

void CallTally::note_removed(const Place& place, int shmid, bool is_gone) {
  const MutexLock lock(mutex_);
  const auto known = makers_.find({place, shmid});
  if (known == makers_.end()) return;
  // A program that makes and removes segments without end must not make the map large, and so slow.
  if (is_gone) {
    makers_.erase(known);
  } else {
    known->second.removed = true;
  }
}

std::map<int, CallTally::Maker> CallTally::not_removed(const Place& place) const {
  std::map<int, Maker> some;
  const MutexLock lock(mutex_);
  const auto end = makers_.upper_bound({place, INT_MAX});
  for (auto known = makers_.lower_bound({place, 0}); known != end; ++known) {
    if (!known->second.removed) some.emplace(known->first.second, known->second);
  }
  return some;
}

std::vector<CallTally::Place> CallTally::places() const {
  const MutexLock lock(mutex_);
  std::vector<Place> places;
  for (const auto& [place, counts] : counts_) places.push_back(place);
  return places;
}

void CallTally::forget(const Place& place) {
  const MutexLock lock(mutex_);
  forget_locked(place);
}

void CallTally::forget_session(std::uint32_t session) {
  const MutexLock lock(mutex_);
  const auto is_its = [session](const auto& entry) { return entry.first.first == session; };
  for (;;) {
    const auto counted = std::find_if(counts_.begin(), counts_.end(), is_its);
    const auto peaking = std::find_if(peaks_.begin(), peaks_.end(), is_its);
    if (counted == counts_.end() && peaking == peaks_.end()) return;
    forget_locked(Place(counted != counts_.end() ? counted->first : peaking->first));
  }
}

void CallTally::forget_locked(const Place& place) {
  counts_.erase(place);
  peaks_.erase(place);
  makers_.erase(makers_.lower_bound({place, 0}), makers_.upper_bound({place, INT_MAX}));
  epoch_.store(next_epoch(), std::memory_order_release);
}

std::optional<CallTally::Slowest> CallTally::slowest() const {
  const MutexLock lock(mutex_);
  return slowest_.took.count() == 0 ? std::nullopt : std::optional(slowest_);
}

CallTally::Peak CallTally::peak(std::uint32_t session, std::uint64_t ipc_namespace) const {
  const MutexLock lock(mutex_);
  const auto known = peaks_.find({session, ipc_namespace});
  return known == peaks_.end() ? Peak() : known->second;
}

std::optional<CallTally::Maker> CallTally::maker(std::uint32_t session, std::uint64_t ipc_namespace,
                                                 int shmid) const {
  const MutexLock lock(mutex_);
  const auto known = makers_.find({{session, ipc_namespace}, shmid});
  return known == makers_.end() ? std::nullopt : std::optional(known->second);
}

}  // namespace shmvisor
