// IdTable: identifiers of IPC objects, handed out as the kernel does.
//
// An identifier is (sequence number << 15) | index, ipc_idr_alloc() in ipc/util.c. Indices are
// taken in a cycle over at least 64 and at most in_use * 3/2 places, and the sequence number grows
// when the cycle turns round, so that an identifier is long gone before its number comes back.
//
// Choosing an identifier (next()) and entering an object under it (insert()) are two steps, so that
// nothing is changed until the caller is known to have its answer.
//
// Costs: lookups are O(1); next() and max_index() look at no more than 512 words.
// Thread rule: guarded by its owner's lock.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "policy/base/result.h"

namespace shmvisor {

/// An identifier that is free to be entered; valid until the table changes.
struct FreeId {
  int id = 0;
  int index = 0;
  std::uint16_t seq = 0;
  /// Chosen by kernel.shm_next_id: the cycle goes on as if it had not been.
  bool asked_for = false;
};

/// Where the cycle of identifiers goes on: behind this one.
struct IdCursor {
  int last_index = -1;  ///< -1: at the very beginning
  int seq = 0;

  friend bool operator==(const IdCursor&, const IdCursor&) = default;
};

/// The arithmetic of identifiers and which of them are taken; IdTable adds the objects.
class IdSpace {
 public:
  static constexpr int kIndexBits = 15;    // ipcmni_seq_shift()
  static constexpr int kMaxIds = 1 << 15;  // IPCMNI
  static constexpr int kMinCycle = 64;     // ipc_min_cycle
  static constexpr int kSeqMax = INT32_MAX >> kIndexBits;

  static constexpr int index_of(int id) { return id & (kMaxIds - 1); }
  static constexpr int seq_of(int id) { return id >> kIndexBits; }

  IdSpace() : taken_(kMaxIds / 64) {}

  /// ENOSPC when `limit` (shmmni) objects, or all there can be, exist.
  [[nodiscard]] Result<FreeId> next(std::uint64_t limit) const;
  /// The same for kernel.shm_next_id: the sequence number of `wanted`, and its index or the next
  /// free one above.
  [[nodiscard]] Result<FreeId> next_from(int wanted, std::uint64_t limit) const;
  /// Precondition: `free` came from next() and nothing changed since.
  void take(const FreeId& free);
  void give_back(int index);
  [[nodiscard]] IdCursor cursor() const { return {last_index_, seq_}; }
  /// The cycle goes on behind `cursor`, whatever was taken.
  void go_on_behind(const IdCursor& cursor);

  [[nodiscard]] int in_use() const { return in_use_; }
  /// The highest index in use; -1 where there is none.
  [[nodiscard]] int max_index() const;

 private:
  [[nodiscard]] int first_free(int from, int below) const;

  std::vector<std::uint64_t> taken_;
  int in_use_ = 0;
  int idr_next_ = 0;
  int last_index_ = -1;
  int seq_ = 0;
};

template <typename Object>
class IdTable {
 public:
  using Pointer = std::shared_ptr<Object>;

  /// `wanted`: an identifier to be taken if possible, or -1.
  [[nodiscard]] Result<FreeId> next(std::uint64_t limit, int wanted) const {
    return wanted < 0 ? space_.next(limit) : space_.next_from(wanted, limit);
  }

  /// Makes insert() need no memory. Nobody finds anything by it.
  void reserve(const FreeId& free) {
    const auto index = static_cast<std::size_t>(free.index);
    if (index >= slots_.size()) slots_.resize(index + 1);
  }

  void insert(const FreeId& free, Pointer object) {
    reserve(free);
    space_.take(free);
    const auto index = static_cast<std::size_t>(free.index);
    slots_[index] = Slot{free.id, std::move(object)};
  }

  [[nodiscard]] IdCursor cursor() const { return space_.cursor(); }
  void go_on_behind(const IdCursor& cursor) { space_.go_on_behind(cursor); }

  /// Precondition: the identifier is in use. Returns the object, so that the caller decides when it
  /// dies.
  Pointer erase(int id) {
    const int index = IdSpace::index_of(id);
    Slot& slot = slots_[static_cast<std::size_t>(index)];
    assert(slot.object != nullptr && slot.id == id);
    space_.give_back(index);
    return std::exchange(slot.object, nullptr);
  }

  /// ipc_obtain_object_check(): EINVAL for an index that is free and, since Linux 3.x, also for one
  /// whose sequence number moved on; the man page's EIDRM is only seen in a race with IPC_RMID.
  [[nodiscard]] Result<Pointer> find(int id) const {
    const Slot* slot = slot_at(IdSpace::index_of(id));
    if (slot == nullptr || slot->id != id) return Errno(EINVAL);
    return slot->object;
  }

  /// ipc_obtain_object_idr(): by the index alone, as SHM_STAT asks; EINVAL for a free one.
  [[nodiscard]] Result<Pointer> find_index(int id) const {
    const Slot* slot = slot_at(IdSpace::index_of(id));
    if (slot == nullptr) return Errno(EINVAL);
    return slot->object;
  }

  template <typename Visitor>
  void for_each(Visitor visit) const {
    for (const Slot& slot : slots_) {
      if (slot.object != nullptr) visit(slot.object);
    }
  }

  /// From an index upwards, as long as `visit` answers true.
  template <typename Visitor>
  void for_each_from(int index, Visitor visit) const {
    for (auto place = static_cast<std::size_t>(index); place < slots_.size(); ++place) {
      if (slots_[place].object != nullptr && !visit(slots_[place].object)) return;
    }
  }

  [[nodiscard]] int in_use() const { return space_.in_use(); }
  [[nodiscard]] int max_index() const { return space_.max_index(); }

 private:
  struct Slot {
    int id = -1;
    Pointer object;
  };

  [[nodiscard]] const Slot* slot_at(int index) const {
    const auto place = static_cast<std::size_t>(index);
    if (place >= slots_.size() || slots_[place].object == nullptr) return nullptr;
    return &slots_[place];
  }

  IdSpace space_;
  std::vector<Slot> slots_;
};

}  // namespace shmvisor
