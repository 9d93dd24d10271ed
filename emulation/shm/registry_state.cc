#include "emulation/shm/registry_state.h"

namespace shmvisor {

RegistryState::SegmentPointer RegistryState::find_key(key_t key) const {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : found->second;
}

std::vector<RegistryState::SegmentPointer> RegistryState::all() const {
  std::vector<SegmentPointer> segments;
  table_.for_each([&](const SegmentPointer& segment) { segments.push_back(segment); });
  return segments;
}

ShmidDs RegistryState::describe(const Segment& segment, Viewpoint& viewpoint) const {
  const SegmentState& state = of(segment);
  const IpcPerm& perm = state.perm;
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
  ds.ctime = state.ctime_seconds;
  ds.cpid = viewpoint.show_pid(segment.cpid());
  ds.lpid = viewpoint.show_pid(stamps.lpid);
  return ds;
}

void RegistryState::prepare(const InsertSegment& change) {
  table_.reserve(change.free);
  const key_t key = of(*change.segment).perm.key;
  if (user_limits_ != nullptr) users_.try_emplace(change.segment->account());
  if (key != abi::kIpcPrivate) by_key_.emplace(key, change.segment);
}

void RegistryState::cancel(const Segment& segment) {
  by_key_.erase(of(segment).perm.key);
  const auto user = users_.find(segment.account());
  if (user != users_.end() && user->second.segments == 0) users_.erase(user);
}

void RegistryState::insert(const FreeId& free, const SegmentPointer& segment) {
  table_.insert(free, segment);
  total_pages_ += segment->size_pages();
  if (user_limits_ != nullptr) count_in(users_, *segment);
  next_id_hint_ = -1;
}

void RegistryState::erase(Segment& segment) {
  take_key(segment);
  total_pages_ -= segment.size_pages();
  if (const auto user = users_.find(segment.account()); user != users_.end()) {
    user->second.pages -= segment.size_pages();
    if (--user->second.segments == 0) users_.erase(user);
  }
  table_.erase(segment.id());
}

void RegistryState::take_key(Segment& segment) {
  key_t& key = of(segment).perm.key;
  if (key != abi::kIpcPrivate) by_key_.erase(key);
  key = abi::kIpcPrivate;
}

void RegistryState::count_in(Users& users, const Segment& segment) {
  UserUsage& usage = users[segment.account()];
  ++usage.segments;
  usage.pages += segment.size_pages();
}

UserUsage RegistryState::usage_of(uid_t user) const {
  const auto known = users_.find(user);
  return known == users_.end() ? UserUsage() : known->second;
}

void RegistryState::set(const SetUserLimits& change) {
  Users users;
  if (change.limits != nullptr) {
    table_.for_each([&users](const SegmentPointer& segment) { count_in(users, *segment); });
  }
  user_limits_ = change.limits;
  users_ = std::move(users);
}

void RegistryState::set(const SetLimit& change) {
  switch (change.which) {
    case SetLimit::Which::kShmmax:
      limits_.shmmax = change.value;
      break;
    case SetLimit::Which::kShmall:
      limits_.shmall = change.value;
      break;
    case SetLimit::Which::kShmmni:
      limits_.shmmni = static_cast<std::uint32_t>(change.value);
      break;
  }
}

}  // namespace shmvisor
