// Registry with kernel.shm_rmid_forced.
#include "tests/registry_fixture.h"

namespace shmvisor {
namespace {

/// kernel.shm_rmid_forced, against shm_may_destroy(), exit_shm() and shm_destroy_orphaned().
class RmidForcedTest : public RegistryTest {
 protected:
  /// A segment whose creator has the unique number `creator`.
  Registry::SegmentPointer add_by(std::uint64_t creator) { return add(kNoKey, 4096, creator); }
  [[nodiscard]] bool exists(const Registry::SegmentPointer& segment) const {
    const auto found = registry.read()->find(segment->id());
    return found && *found == segment;
  }
};

TEST_F(RmidForcedTest, SettingItDropsOrphansAlone) {
  const auto orphan = add_by(10);
  const auto mapped_orphan = add_by(10);
  const auto cared_for = add_by(11);
  map(mapped_orphan);
  host.dead_threads = {10};
  registry.settle();
  EXPECT_TRUE(exists(orphan)) << "not before it is set";
  registry.set_rmid_forced(true);
  EXPECT_FALSE(exists(orphan));
  EXPECT_TRUE(exists(mapped_orphan));
  EXPECT_TRUE(exists(cared_for));
  release(mapped_orphan);
  registry.settle();
  EXPECT_FALSE(exists(mapped_orphan)) << "it goes with its last mapping";
}

TEST_F(RmidForcedTest, TheEndOfTheCreatorDropsWhatIsNotMapped) {
  registry.set_rmid_forced(true);
  const auto idle = add_by(10);
  const auto mapped = add_by(10);
  map(mapped);
  registry.settle();
  EXPECT_TRUE(exists(idle)) << "never mapped, but its creator lives";
  host.dead_threads = {10};
  registry.settle();
  EXPECT_FALSE(exists(idle));
  EXPECT_TRUE(exists(mapped));
}

// exit_shm() in ksys_unshare().
TEST_F(RmidForcedTest, ACreatorThatLeavesIsNoneAnyMore) {
  const auto left = add_by(10);
  const auto mapped = add_by(10);
  const auto of_another = add_by(11);
  map(mapped);
  registry.change(ForgetCreator{{1, 10}});
  EXPECT_TRUE(exists(left)) << "not before shm_rmid_forced is set";
  registry.set_rmid_forced(true);
  EXPECT_FALSE(exists(left));
  const auto made_later = add_by(10);
  registry.change(ForgetCreator{{1, 11}});
  EXPECT_FALSE(exists(of_another));
  EXPECT_TRUE(exists(made_later));
  EXPECT_TRUE(exists(mapped));
  release(mapped);
  registry.settle();
  EXPECT_FALSE(exists(mapped));
}

TEST_F(RmidForcedTest, TheLastDetachDropsThoughTheCreatorLives) {
  registry.set_rmid_forced(true);
  const auto segment = add(7);
  map(segment);
  release(segment);
  registry.settle();
  EXPECT_FALSE(exists(segment));
  EXPECT_EQ(registry.read()->find_key(7), nullptr) << "and its key is free";
  EXPECT_EQ(registry.read()->total_pages(), 0U);
  EXPECT_TRUE(host.watched.empty());
}

TEST_F(RmidForcedTest, ClearedItIsOverButForRemovedSegments) {
  const auto plain = add();
  const auto removed = add();
  map(plain);
  map(removed);
  registry.set_rmid_forced(true);
  registry.set_rmid_forced(true);
  remove(removed);
  registry.set_rmid_forced(false);
  release(plain);
  release(removed);
  registry.settle();
  EXPECT_TRUE(exists(plain));
  EXPECT_FALSE(exists(removed));
  EXPECT_TRUE(host.watched.empty()) << "each watch is taken back once";
  registry.settle();
  const int asked = host.released_asked;
  registry.settle();
  EXPECT_EQ(host.released_asked, asked) << "nothing is watched any more";
}

TEST_F(RmidForcedTest, WhatItDoomedGoesThoughItIsClearedAtOnce) {
  registry.set_rmid_forced(true);
  const auto detached = add();
  const auto left_behind = add_by(10);
  map(detached);
  release(detached);
  host.dead_threads = {10};
  registry.set_rmid_forced(false);
  EXPECT_FALSE(exists(detached));
  EXPECT_FALSE(exists(left_behind));
  EXPECT_TRUE(host.watched.empty());
}

TEST_F(RmidForcedTest, RemovalWhileItIsSet) {
  registry.set_rmid_forced(true);
  const auto mapped = add();
  const auto idle = add();
  map(mapped);
  remove(mapped);
  remove(idle);
  EXPECT_TRUE(exists(mapped));
  EXPECT_FALSE(exists(idle));
  EXPECT_EQ(host.watched.size(), 1U);
  release(mapped);
  registry.settle();
  EXPECT_TRUE(host.watched.empty());
}

}  // namespace
}  // namespace shmvisor
