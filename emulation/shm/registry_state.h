// RegistryState: what the lock of a Registry guards: the segments by identifier and by key, their
// totals, the limits, and what can change of each segment.
//
// It keeps these in agreement with one another, and decides nothing. It is reached through the
// guards of a Registry (ReadGuard, WriteGuard) alone.
//
// Thread rule: const members with the registry's lock held shared, others exclusively.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "emulation/abi/shm_abi.h"
#include "emulation/ipc/id_table.h"
#include "emulation/shm/change.h"
#include "emulation/shm/creations.h"
#include "emulation/shm/segment.h"
#include "policy/base/result.h"
#include "policy/limits/limits.h"
#include "policy/limits/user_limits.h"

namespace shmvisor {

class RegistryState {
 public:
  using SegmentPointer = std::shared_ptr<Segment>;

  explicit RegistryState(const Limits& limits) : limits_(limits) {}

  [[nodiscard]] const Limits& limits() const { return limits_; }
  /// What the user may have, and has. Nothing is counted for users without limits.
  [[nodiscard]] LimitSettings limit_of(uid_t user) const {
    return user_limits_ == nullptr ? LimitSettings() : user_limits_->of(user);
  }
  [[nodiscard]] UserUsage usage_of(uid_t user) const;
  /// The identifier that the next segment shall have; -1 for none.
  [[nodiscard]] int next_id_hint() const { return next_id_hint_; }
  /// IPC_PRIVATE and removed segments are found by no key.
  [[nodiscard]] SegmentPointer find_key(key_t key) const;
  /// EINVAL, see IdTable.
  [[nodiscard]] Result<SegmentPointer> find(int id) const { return table_.find(id); }
  [[nodiscard]] Result<SegmentPointer> find_index(int id) const { return table_.find_index(id); }
  [[nodiscard]] Result<FreeId> next_id() const {
    return table_.next(limits_.shmmni, next_id_hint_);
  }
  [[nodiscard]] IdCursor id_cursor() const { return table_.cursor(); }
  [[nodiscard]] int in_use() const { return table_.in_use(); }
  /// Whether shmmni is reached.
  [[nodiscard]] bool full() const {
    return static_cast<std::uint64_t>(table_.in_use()) >= limits_.shmmni;
  }
  [[nodiscard]] int max_index() const { return table_.max_index(); }
  /// shm_tot: pages of all segments together.
  [[nodiscard]] std::uint64_t total_pages() const { return total_pages_; }
  [[nodiscard]] std::vector<SegmentPointer> all() const;
  template <typename Visitor>
  void for_each(Visitor visit) const {
    table_.for_each(visit);
  }
  /// In the order of their index, from one upwards, as long as `visit` answers true.
  template <typename Visitor>
  void for_each_from(int index, Visitor visit) const {
    table_.for_each_from(index, visit);
  }
  [[nodiscard]] const SegmentState& of(const Segment& segment) const { return segment.state_; }
  /// IPC_STAT's answer but for shm_nattch.
  [[nodiscard]] ShmidDs describe(const Segment& segment, Viewpoint& viewpoint) const;
  [[nodiscard]] const Creations& creations() const { return creations_; }

  // For Registry::apply().

  [[nodiscard]] SegmentState& of(Segment& segment) { return segment.state_; }
  /// Makes insert() need no memory. The key finds the segment from now on.
  void prepare(const InsertSegment& change);
  /// It is not inserted after all.
  void cancel(const Segment& segment);
  /// Precondition: prepared.
  void insert(const FreeId& free, const SegmentPointer& segment);
  void erase(Segment& segment);
  /// It is found by no key from now on.
  void take_key(Segment& segment);
  void set(const SetLimit& change);
  /// May throw std::bad_alloc, and has changed nothing then.
  void set(const SetUserLimits& change);
  void set_next_id_hint(int id) { next_id_hint_ = id; }
  void set_id_cursor(const IdCursor& cursor) { table_.go_on_behind(cursor); }
  [[nodiscard]] Creations& creations() { return creations_; }

 private:
  using Users = std::unordered_map<uid_t, UserUsage>;

  static void count_in(Users& users, const Segment& segment);

  Limits limits_;
  std::shared_ptr<const UserLimits> user_limits_;
  Users users_;  ///< who has segments, while users have limits
  Creations creations_;
  IdTable<Segment> table_;
  std::unordered_map<key_t, SegmentPointer> by_key_;
  std::uint64_t total_pages_ = 0;
  int next_id_hint_ = -1;
};

}  // namespace shmvisor
