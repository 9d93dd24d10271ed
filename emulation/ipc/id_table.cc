#include "emulation/ipc/id_table.h"

#include <algorithm>
#include <bit>

namespace shmvisor {

int IdSpace::first_free(int from, int below) const {
  for (int index = from; index < below;) {
    const auto word = static_cast<std::size_t>(index / 64);
    const std::uint64_t busy_or_before =
        taken_[word] | ((std::uint64_t{1} << (index % 64)) - std::uint64_t{1});
    const int bit = std::countr_one(busy_or_before);
    if (bit < 64) {
      const int found = static_cast<int>(word) * 64 + bit;
      return found < below ? found : -1;
    }
    index = (static_cast<int>(word) + 1) * 64;
  }
  return -1;
}

Result<FreeId> IdSpace::next(std::uint64_t limit) const {
  if (static_cast<std::uint64_t>(in_use_) >= std::min<std::uint64_t>(limit, kMaxIds)) {
    return Errno(ENOSPC);
  }
  const int cycle = std::min(std::max(in_use_ * 3 / 2, kMinCycle), kMaxIds);
  int index = first_free(idr_next_, cycle);
  if (index < 0) index = first_free(0, cycle);
  if (index < 0) return Errno(ENOSPC);
  int seq = seq_;
  if (index <= last_index_) {
    ++seq;
    if (seq >= kSeqMax) seq = 0;
  }
  return FreeId{(seq << kIndexBits) + index, index, static_cast<std::uint16_t>(seq), false};
}

Result<FreeId> IdSpace::next_from(int wanted, std::uint64_t limit) const {
  if (static_cast<std::uint64_t>(in_use_) >= std::min<std::uint64_t>(limit, kMaxIds)) {
    return Errno(ENOSPC);
  }
  const int index = first_free(index_of(wanted), kMaxIds);
  if (index < 0) return Errno(ENOSPC);
  const int seq = seq_of(wanted);
  return FreeId{(seq << kIndexBits) + index, index, static_cast<std::uint16_t>(seq), true};
}

void IdSpace::take(const FreeId& free) {
  taken_[static_cast<std::size_t>(free.index / 64)] |= std::uint64_t{1} << (free.index % 64);
  ++in_use_;
  if (free.asked_for) return;
  idr_next_ = free.index + 1;
  last_index_ = free.index;
  seq_ = free.seq;
}

void IdSpace::give_back(int index) {
  taken_[static_cast<std::size_t>(index / 64)] &= ~(std::uint64_t{1} << (index % 64));
  --in_use_;
}

void IdSpace::go_on_behind(const IdCursor& cursor) {
  idr_next_ = cursor.last_index + 1;
  last_index_ = cursor.last_index;
  seq_ = cursor.seq;
}

int IdSpace::max_index() const {
  for (std::size_t word = taken_.size(); word-- > 0;) {
    if (taken_[word] != 0) {
      return static_cast<int>(word) * 64 + 63 - std::countl_zero(taken_[word]);
    }
  }
  return -1;
}

}  // namespace shmvisor
