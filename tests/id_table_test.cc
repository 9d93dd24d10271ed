#include "emulation/ipc/id_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace shmvisor {
namespace {

constexpr std::uint64_t kNoLimit = IdSpace::kMaxIds;

int id_of(int seq, int index) { return (seq << 15) | index; }

/// Takes the next identifier.
int take(IdSpace& space, std::uint64_t limit = kNoLimit) {
  const auto free = space.next(limit);
  if (!free) return -free.error().value();
  space.take(*free);
  return free->id;
}

TEST(IdTableTest, FirstIdentifiersCountUpFromZero) {
  IdSpace space;
  EXPECT_EQ(space.max_index(), -1);
  for (int expected = 0; expected < 100; ++expected) EXPECT_EQ(take(space), expected);
  EXPECT_EQ(space.in_use(), 100);
  EXPECT_EQ(space.max_index(), 99);
}

TEST(IdTableTest, ChoosingChangesNothing) {
  IdSpace space;
  const auto first = space.next(kNoLimit);
  const auto again = space.next(kNoLimit);
  ASSERT_TRUE(first && again);
  EXPECT_EQ(first->id, again->id);
  EXPECT_EQ(first->seq, again->seq);
  EXPECT_EQ(space.in_use(), 0);
}

// idr_alloc_cyclic() goes on behind the last one; ipc_idr_alloc() bounds it at 64.
TEST(IdTableTest, FreedIndicesRestUntilTheCycleTurns) {
  IdSpace space;
  for (int round = 0; round < 3; ++round) {
    for (int index = 0; index < 64; ++index) {
      ASSERT_EQ(take(space), id_of(round, index));
      space.give_back(index);
    }
  }
}

TEST(IdTableTest, TheCycleSkipsWhatIsTaken) {
  IdSpace space;
  ASSERT_EQ(take(space), 0);
  ASSERT_EQ(take(space), 1);
  for (int index = 2; index < 64; ++index) {
    ASSERT_EQ(take(space), index);
    space.give_back(index);
  }
  EXPECT_EQ(take(space), id_of(1, 2)) << "0 and 1 are taken";
  EXPECT_EQ(take(space), id_of(1, 3));
  space.give_back(0);
  EXPECT_EQ(take(space), id_of(1, 4)) << "not back to 0 before the cycle ends";
}

// in_use * 3 / 2 once that is more than 64.
TEST(IdTableTest, TheCycleGrowsWithTheNumberInUse) {
  IdSpace space;
  for (int index = 0; index < 64; ++index) ASSERT_EQ(take(space), index);
  // 64 in use: indices below 96.
  for (int index = 64; index < 96; ++index) {
    ASSERT_EQ(take(space), index);
    space.give_back(index);
  }
  space.give_back(10);  // 63 in use: below 94
  EXPECT_EQ(take(space), id_of(1, 10));
  // 64 in use again, the cycle stands behind 10 and all below 64 are taken.
  EXPECT_EQ(take(space), id_of(1, 64));
}

// A cycle that shrank lies behind the place where the search would go on.
TEST(IdTableTest, TheCycleShrinks) {
  IdSpace space;
  for (int index = 0; index < 200; ++index) ASSERT_EQ(take(space), index);
  for (int index = 0; index < 200; ++index) space.give_back(index);
  EXPECT_EQ(take(space), id_of(1, 0));
  EXPECT_EQ(take(space), id_of(1, 1));
}

// The sequence number grows when an index is not above the last one handed out.
TEST(IdTableTest, SequenceCountsTurnsOfTheCycle) {
  IdSpace space;
  std::set<int> seen;
  for (int count = 0; count < 64 * 50; ++count) {
    const int id = take(space);
    EXPECT_TRUE(seen.insert(id).second) << "identifier " << id << " came back at once";
    EXPECT_EQ(IdSpace::seq_of(id), count / 64);
    space.give_back(IdSpace::index_of(id));
  }
}

// ipcid_seq_max() is INT_MAX >> 15 = 65535, and that number itself is not used.
TEST(IdTableTest, SequenceWrapsBelow65535) {
  IdSpace space;
  std::vector<int> turns;
  int id = 0;
  for (int turn = 0; turn < 65536; ++turn) {
    for (int step = 0; step < 64; ++step) {
      id = take(space);
      space.give_back(IdSpace::index_of(id));
      ASSERT_GE(id, 0);
      if (step == 0 && turn >= 65533) turns.push_back(id);
    }
  }
  EXPECT_EQ(turns, (std::vector<int>{id_of(65533, 0), id_of(65534, 0), id_of(0, 0)}));
}

TEST(IdTableTest, LimitsEndTheSupply) {
  IdSpace space;
  EXPECT_EQ(take(space, 0), -ENOSPC);
  EXPECT_EQ(take(space, 2), 0);
  EXPECT_EQ(take(space, 2), 1);
  EXPECT_EQ(take(space, 2), -ENOSPC);
  EXPECT_EQ(take(space, 1), -ENOSPC) << "more in use than the limit";
  space.give_back(0);
  EXPECT_EQ(take(space, 2), 2);
}

TEST(IdTableTest, AllThereCanBe) {
  IdSpace space;
  for (int index = 0; index < IdSpace::kMaxIds; ++index) ASSERT_EQ(take(space), index);
  EXPECT_EQ(take(space), -ENOSPC);
  EXPECT_EQ(take(space, UINT64_MAX), -ENOSPC);
  EXPECT_EQ(space.max_index(), 32767);
  space.give_back(12345);
  EXPECT_EQ(take(space), id_of(1, 12345)) << "the only free one, at any place";
  space.give_back(32767);
  EXPECT_EQ(space.max_index(), 32766);
  EXPECT_EQ(take(space), id_of(1, 32767));
  space.give_back(0);
  EXPECT_EQ(take(space), id_of(2, 0));
}

TEST(IdTableTest, MaxIndexFollowsRemovals) {
  IdSpace space;
  for (int index = 0; index < 130; ++index) take(space);
  space.give_back(129);
  EXPECT_EQ(space.max_index(), 128);
  for (int index = 60; index < 129; ++index) space.give_back(index);
  EXPECT_EQ(space.max_index(), 59);
  for (int index = 0; index < 60; ++index) space.give_back(index);
  EXPECT_EQ(space.max_index(), -1);
  EXPECT_EQ(space.in_use(), 0);
}

// kernel.shm_next_id: ipc_idr_alloc() takes the wanted index or the next free one above, with the
// wanted sequence number, and the cycle goes on as if nothing had been.
TEST(IdTableTest, AnIdentifierThatIsAskedFor) {
  IdSpace space;
  ASSERT_EQ(take(space), 0);
  const auto wanted = space.next_from(id_of(7, 5), kNoLimit);
  ASSERT_TRUE(wanted);
  EXPECT_EQ(wanted->id, id_of(7, 5));
  EXPECT_EQ(wanted->seq, 7);
  space.take(*wanted);
  EXPECT_EQ(space.max_index(), 5);
  EXPECT_EQ(take(space), 1) << "the cycle knows nothing of it";
  EXPECT_EQ(take(space), 2);
  EXPECT_EQ(space.next_from(id_of(9, 5), kNoLimit)->id, id_of(9, 6)) << "taken: the next above";
  EXPECT_EQ(space.next_from(id_of(9, 0), kNoLimit)->id, id_of(9, 3));
  EXPECT_EQ(take(space), 3);
  EXPECT_EQ(take(space), 4);
  EXPECT_EQ(take(space), 6) << "the taken one is skipped";
  EXPECT_EQ(space.next_from(0, 7).error(), Errno(ENOSPC)) << "shmmni holds for it, too";
}

/// ipc_idr_alloc() and idr_alloc_cyclic(), told once more the slow way.
class Oracle {
 public:
  int take() {
    const int below =
        std::min(std::max(static_cast<int>(used_.size()) * 3 / 2, 64), IdSpace::kMaxIds);
    int index = lowest(next_, below);
    if (index < 0) index = lowest(0, below);
    next_ = index + 1;
    if (index <= last_ && ++seq_ >= 65535) seq_ = 0;
    last_ = index;
    used_.insert(index);
    return id_of(seq_, index);
  }
  void give_back(int index) { used_.erase(index); }

 private:
  [[nodiscard]] int lowest(int from, int below) const {
    for (int index = from; index < below; ++index) {
      if (!used_.contains(index)) return index;
    }
    return -1;
  }

  std::set<int> used_;
  int next_ = 0;
  int last_ = -1;
  int seq_ = 0;
};

TEST(IdTableTest, RandomLifeAgreesWithTheKernelsAlgorithm) {
  std::mt19937 random(20240229);
  IdSpace space;
  Oracle oracle;
  std::vector<int> indices;
  for (int step = 0; step < 20000; ++step) {
    // Waves, so that the cycle grows and shrinks.
    const bool growing = step / 1000 % 2 == 0;
    const bool takes = indices.empty() || random() % 100 < (growing ? 70U : 30U);
    if (takes) {
      const int id = take(space);
      ASSERT_EQ(id, oracle.take()) << "step " << step;
      indices.push_back(IdSpace::index_of(id));
    } else {
      std::swap(indices[random() % indices.size()], indices.back());
      space.give_back(indices.back());
      oracle.give_back(indices.back());
      indices.pop_back();
    }
    ASSERT_EQ(space.in_use(), static_cast<int>(indices.size()));
    const auto highest = std::max_element(indices.begin(), indices.end());
    ASSERT_EQ(space.max_index(), highest == indices.end() ? -1 : *highest);
  }
}

TEST(IdTableTest, FindWantsTheSequenceNumberToo) {
  IdTable<int> table;
  EXPECT_EQ(table.find(0).error(), Errno(EINVAL));
  const auto first = table.next(kNoLimit, -1);
  table.insert(*first, std::make_shared<int>(42));
  ASSERT_TRUE(table.find(0));
  EXPECT_EQ(**table.find(0), 42);
  EXPECT_EQ(table.find(id_of(1, 0)).error(), Errno(EINVAL)) << "EIDRM is for races";
  EXPECT_EQ(table.find(id_of(0, 1)).error(), Errno(EINVAL)) << "a free index";
  EXPECT_EQ(table.find(id_of(7, 5000)).error(), Errno(EINVAL)) << "an index never used";
  EXPECT_EQ(table.find(INT32_MAX).error(), Errno(EINVAL));
  EXPECT_EQ(**table.find_index(id_of(9, 0)), 42) << "SHM_STAT looks at the index alone";
  EXPECT_EQ(table.find_index(1).error(), Errno(EINVAL));
  EXPECT_EQ(*table.erase(0), 42);
  EXPECT_EQ(table.find(0).error(), Errno(EINVAL));
  EXPECT_EQ(table.find_index(0).error(), Errno(EINVAL));
}

TEST(IdTableTest, ObjectsLiveWhereTheyWereEntered) {
  IdTable<int> table;
  for (int value = 0; value < 5; ++value) {
    table.insert(*table.next(kNoLimit, -1), std::make_shared<int>(value));
  }
  table.erase(1);
  table.erase(3);
  std::vector<int> seen;
  table.for_each([&](const auto& object) { seen.push_back(*object); });
  EXPECT_EQ(seen, (std::vector<int>{0, 2, 4}));
  EXPECT_EQ(table.in_use(), 3);
  EXPECT_EQ(table.max_index(), 4);
}

TEST(IdTableTest, EraseHandsTheObjectBack) {
  IdTable<int> table;
  table.insert(*table.next(kNoLimit, -1), std::make_shared<int>(1));
  const std::weak_ptr<int> watch = *table.find(0);
  auto object = table.erase(0);
  EXPECT_FALSE(watch.expired());
  object.reset();
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace shmvisor
