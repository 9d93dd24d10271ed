#include "supervisor/journal/change_journal.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "supervisor/journal/call_slots.h"
#include "supervisor/journal/registry_journal.h"

namespace shmvisor {

using journal::AreaHeader;
using journal::EncodedRecord;
using journal::kNone;
using journal::Stamp;
using journal::StateHeader;

ChangeJournal::ChangeJournal(StateFile& file, const journal::RecoveredState& state,
                             std::uint64_t least_bytes)
    : file_(file), least_bytes_(least_bytes) {
  const MutexLock lock(mutex_);
  std::vector<bool> taken;
  for (const auto& [number, registry] : state.registries) {
    Known& one = registries_[number];
    one.settings = registry.settings;
    next_registry_ = std::max(next_registry_, number + 1);
    for (const auto& [index, segment] : registry.segments) {
      const auto place = static_cast<std::size_t>(index);
      if (one.places.size() <= place) one.places.resize(place + 1);
      one.places[place] = {segment.segment.id, segment.live.stamp, segment.offset_bytes};
      if (segment.live.stamp == kNone) continue;
      if (taken.size() <= segment.live.stamp) taken.resize(segment.live.stamp + 1);
      taken[segment.live.stamp] = true;
    }
  }
  next_stamp_ = static_cast<std::uint32_t>(taken.size());
  free_stamps_.reserve(taken.size());
  for (std::uint32_t stamp = 0; stamp < next_stamp_; ++stamp) {
    if (!taken[stamp]) free_stamps_.push_back(stamp);
  }
  at_ = state.committed_bytes;
  next_number_ = state.next_number;
  plan_next_checkpoint(file_.header().areas[current()].checkpoint_bytes);
}

std::unique_ptr<ChangeObserver> ChangeJournal::of(std::uint32_t session,
                                                  std::uint64_t ipc_namespace) {
  const MutexLock lock(mutex_);
  const auto found = std::ranges::find_if(registries_, [&](const auto& one) {
    const journal::RegistryChange& settings = one.second.settings;
    return !one.second.observed && settings.session == session &&
           settings.ipc_namespace == ipc_namespace;
  });
  std::uint32_t number = next_registry_;
  if (found == registries_.end()) {
    ++next_registry_;
    Known& made = registries_[number];
    made.settings.registry = number;
    made.settings.session = session;
    made.settings.ipc_namespace = ipc_namespace;
  } else {
    number = found->first;
  }
  known(number).observed = true;
  return std::make_unique<RegistryJournal>(*this, number);
}

void ChangeJournal::end_unobserved() {
  const MutexLock lock(mutex_);
  for (auto one = registries_.begin(); one != registries_.end();) {
    if (one->second.observed) {
      ++one;
      continue;
    }
    for (const Place& place : one->second.places) {
      if (place.id >= 0) give_stamp_back(place.stamp);
    }
    append(encode(journal::RemovalChange{one->first, -1}));
    one = registries_.erase(one);
  }
  commit();
}

std::uint64_t ChangeJournal::append(EncodedRecord record) noexcept {
  const std::uint64_t offset = at_;
  const auto area = file_.area(current());
  const auto bytes = record.bytes();
  if (bytes.size() > area.size() - at_) {
    fail();
    return offset;
  }
  record.number(next_number_++);
  std::memcpy(&area[at_], bytes.data(), bytes.size());
  at_ += bytes.size();
  return offset;
}

void ChangeJournal::commit() noexcept {
  StateHeader& header = file_.header();
  AreaHeader& area = header.areas[current()];
  if (at_ == area.committed.load(std::memory_order_relaxed)) return;
  const auto decision = CallSlots::take_decision();
  if (decision) append(encode(*decision));
  area.committed.store(at_, std::memory_order_release);
  // Before a checkpoint leaves the record of the decision out.
  if (decision) CallSlots::decided(file_, *decision);
  if (at_ >= checkpoint_at_) make_checkpoint();
}

void ChangeJournal::make_checkpoint() noexcept {
  StateHeader& header = file_.header();
  const std::uint64_t before = header.current.load();
  const auto from = file_.area(before % 2);
  const std::uint64_t next = (before + 1) % 2;
  const auto to = file_.area(next);
  const std::uint64_t first_number = next_number_;
  std::uint64_t end = 0;
  for (auto& [number, registry] : registries_) {
    EncodedRecord settings = encode(registry.settings);
    settings.number(next_number_++);
    if (to.size() - end < settings.bytes().size()) return fail();
    std::memcpy(&to[end], settings.bytes().data(), settings.bytes().size());
    end += settings.bytes().size();
    for (Place& place : registry.places) {
      if (place.id < 0) continue;
      if (to.size() - end < EncodedRecord::kMostBytes) return fail();
      const std::uint64_t copied_to = end;
      end +=
          journal::copy_settled(from.subspan(place.offset_bytes), to.subspan(end), next_number_++);
      place.offset_bytes = copied_to;
    }
  }
  AreaHeader& area = header.areas[next];
  area.committed.store(end, std::memory_order_relaxed);
  area.checkpoint_bytes = end;
  area.first_number = first_number;
  header.current.store(before + 1, std::memory_order_release);
  file_.empty_area(before % 2);
  at_ = end;
  plan_next_checkpoint(end);
}

void ChangeJournal::plan_next_checkpoint(std::uint64_t checkpoint_bytes) {
  constexpr std::uint64_t kGrowth = 4;
  checkpoint_at_ = std::min(std::max(kGrowth * checkpoint_bytes, least_bytes_),
                            file_.header().area_bytes / 4 * 3);
}

void ChangeJournal::fail() noexcept {
  checkpoint_at_ = ~std::uint64_t{0};
  if (file_.header().incomplete.exchange(1) != 0) return;
  spdlog::error(
      "the state is larger than its file: this shmvisor goes on, but its end ends all segments");
}

std::uint32_t ChangeJournal::take_stamp() {
  if (!free_stamps_.empty()) {
    const std::uint32_t stamp = free_stamps_.back();
    free_stamps_.pop_back();
    return stamp;
  }
  if (next_stamp_ == journal::kStamps) return kNone;
  // So that giving it back needs no memory.
  if (free_stamps_.capacity() <= next_stamp_)
    free_stamps_.reserve(2 * std::size_t{next_stamp_} + 8);
  return next_stamp_++;
}

void ChangeJournal::give_stamp_back(std::uint32_t stamp) noexcept {
  if (stamp == kNone) return;
  free_stamps_.push_back(stamp);
}

void ChangeJournal::stamped(std::uint32_t place, const AttachStamps& stamps,
                            bool was_opened) noexcept {
  auto& [first, second] = file_.stamps()[place];
  const std::uint64_t last = std::max(first.number.load(), second.number.load());
  Stamp& older = first.number.load() == last ? second : first;
  // Nothing of what follows is seen before this.
  older.number.exchange(0, std::memory_order_acq_rel);
  older.atime = stamps.atime;
  older.dtime = stamps.dtime;
  older.lpid = stamps.lpid.pid;
  older.flags = was_opened ? Stamp::kOpened : 0;
  older.inner = 0;
  if (stamps.lpid.inner != nullptr) {
    const std::size_t kept = std::min(stamps.lpid.inner->size(), Stamp::kMostInner);
    for (std::size_t i = 0; i < kept; ++i) {
      older.inner_namespace[i] = (*stamps.lpid.inner)[i].pid_namespace;
      older.inner_pid[i] = (*stamps.lpid.inner)[i].pid;
    }
    older.inner = static_cast<std::uint16_t>(kept);
  }
  older.number.store(last + 1, std::memory_order_release);
}

}  // namespace shmvisor
