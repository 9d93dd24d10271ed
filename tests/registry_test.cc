#include "emulation/shm/registry.h"

#include <gtest/gtest.h>

#include <thread>

#include "emulation/abi/shm_abi.h"
#include "tests/fakes/fake_host.h"
#include "tests/fakes/fake_viewpoint.h"
#include "tests/fakes/registry_changes.h"

namespace shmvisor {
namespace {

Segment::Creation creation(int id, key_t key, std::uint64_t size, std::uint64_t creator = 1) {
  Segment::Creation creation;
  creation.id = id;
  creation.perm.key = key;
  creation.perm.mode = 0600;
  creation.size_bytes = size;
  creation.cpid = {1, nullptr};
  creation.creator = {1, creator};
  creation.now_seconds = 1'000'000;
  return creation;
}

class RegistryTest : public ::testing::Test {
 protected:
  RegistryTest()
      : files(host),
        owner(std::make_shared<Registry>(host, files,
                                         Limits{.shmmax = 1 << 30, .shmall = 1000, .shmmni = 4})),
        registry(*owner) {}

  Registry::SegmentPointer add(key_t key = kNoKey, std::uint64_t size = 4096,
                               std::uint64_t creator = 1) {
    BackingRequest request;
    request.size_bytes = size;
    auto memory = host.create_memory(request);
    EXPECT_TRUE(memory);
    Registry::WriteGuard state = registry.write();
    const auto free = state->next_id();
    if (!free) return nullptr;
    auto segment =
        std::make_shared<Segment>(creation(free->id, key, size, creator), std::move(*memory));
    Dropped none;
    state.apply(InsertSegment{*free, segment}, none);
    return segment;
  }
  void remove(const Registry::SegmentPointer& segment) { apply(RemoveSegment{segment}); }
  void apply(const Change& change) {
    Dropped dropped;
    { registry.write().apply(change, dropped); }
    dropped.free();
  }
  FakePages& pages(const Registry::SegmentPointer& segment) {
    return *host.find(segment->memory().identity());
  }
  void lock(const Registry::SegmentPointer& segment, bool locked, uid_t uid) {
    apply(SetLocked{segment, locked, uid});
    segment->renew_lock([&] { return registry.lock_mode(*segment); });
  }
  void map(const Registry::SegmentPointer& segment) {
    segment->begin_opening();
    pages(segment).areas = 1;
    registry.end_opening(segment);
  }
  /// The last mapping goes.
  void release(const Registry::SegmentPointer& segment) {
    pages(segment).areas = 0;
    host.note_release(segment->memory().identity());
  }

  static constexpr key_t kNoKey = abi::kIpcPrivate;

  FakeHost host;
  SegmentFiles files;
  std::shared_ptr<Registry> owner;
  Registry& registry;
};

TEST_F(RegistryTest, FoundByIdentifierKeyAndFile) {
  const auto segment = add(7);
  EXPECT_EQ(*registry.read()->find(segment->id()), segment);
  EXPECT_EQ(*registry.read()->find_index(segment->id()), segment);
  EXPECT_EQ(registry.read()->find_key(7), segment);
  EXPECT_EQ(files.find(segment->memory().identity()), segment);
  EXPECT_EQ(registry.read()->find_key(8), nullptr);
  const FileIdentity same_inode{2, segment->memory().identity().inode};
  EXPECT_EQ(files.find(same_inode), nullptr) << "another device";
}

TEST_F(RegistryTest, PrivateSegmentsHaveNoKey) {
  add();
  add();
  EXPECT_EQ(registry.read()->find_key(abi::kIpcPrivate), nullptr);
  EXPECT_EQ(registry.read()->in_use(), 2);
}

TEST_F(RegistryTest, ShmmniIsTheSupplyOfIdentifiers) {
  for (int count = 0; count < 4; ++count) ASSERT_NE(add(), nullptr);
  EXPECT_EQ(registry.read()->next_id().error(), Errno(ENOSPC));
}

TEST_F(RegistryTest, Totals) {
  const auto small = add(1, 1);
  const auto large = add(2, 3 * 4096 + 1);
  EXPECT_EQ(registry.read()->total_pages(), 5U);
  pages(small).usage = {1, 2};
  pages(large).usage = {3, 4};
  EXPECT_EQ(registry.usage().resident, 4U);
  EXPECT_EQ(registry.usage().swapped, 6U);
  remove(large);
  EXPECT_EQ(registry.read()->total_pages(), 1U);
  EXPECT_EQ(registry.usage().resident, 1U);
}

TEST_F(RegistryTest, RemovingWhatNobodyMapsDestroysIt) {
  auto segment = add(7);
  const std::weak_ptr<Segment> watch = segment;
  const FileIdentity file = segment->memory().identity();
  const int id = segment->id();
  remove(segment);
  EXPECT_EQ(registry.read()->find(id).error(), Errno(EINVAL));
  EXPECT_EQ(registry.read()->find_key(7), nullptr);
  EXPECT_EQ(files.find(file), nullptr);
  EXPECT_EQ(registry.read()->max_index(), -1);
  EXPECT_TRUE(host.watched.empty());
  segment.reset();
  EXPECT_TRUE(watch.expired());
}

TEST_F(RegistryTest, AtTheEndOfTheRegistryWhatIsMappedIsNotEmptied) {
  const FileIdentity file = [this] {
    const auto mapped = add(7);
    pages(mapped).areas = 1;
    return mapped->memory().identity();
  }();
  const int before = host.freed_aside;
  owner.reset();
  EXPECT_EQ(host.freed_aside, before);
  EXPECT_EQ(files.find(file), nullptr);
}

TEST_F(RegistryTest, AtTheEndOfTheRegistryWhatNobodyMapsIsEmptied) {
  (void)add(8);
  const int before = host.freed_aside;
  owner.reset();
  EXPECT_EQ(host.freed_aside, before + 1);
}

TEST_F(RegistryTest, RemovingWhatIsMappedTakesTheKeyAndWatches) {
  const auto segment = add(7);
  pages(segment).areas = 1;
  remove(segment);
  EXPECT_EQ(*registry.read()->find(segment->id()), segment);
  EXPECT_EQ(registry.read()->find_key(7), nullptr);
  EXPECT_EQ(files.find(segment->memory().identity()), segment) << "shmdt must find it";
  EXPECT_EQ(registry.read()->of(*segment).perm.mode, 01600U);
  EXPECT_EQ(registry.read()->of(*segment).perm.key, abi::kIpcPrivate);
  EXPECT_EQ(registry.read()->total_pages(), 1U);
  ASSERT_EQ(host.watched.size(), 1U);
  remove(segment);
  EXPECT_EQ(host.watched.size(), 1U) << "watched once";
}

TEST_F(RegistryTest, SettlingEndsWhatWasReleased) {
  const auto segment = add(7);
  pages(segment).areas = 1;
  remove(segment);
  registry.settle();
  EXPECT_EQ(registry.read()->in_use(), 1);
  release(segment);
  registry.settle();
  EXPECT_EQ(registry.read()->in_use(), 0);
  EXPECT_EQ(registry.read()->total_pages(), 0U);
  EXPECT_TRUE(host.watched.empty());
}

// A hint says "look again", no more.
TEST_F(RegistryTest, AHintIsNoProof) {
  const auto doomed = add();
  const auto alive = add();
  pages(doomed).areas = 2;
  remove(doomed);
  host.released = {doomed->memory().identity(), alive->memory().identity(), {9, 9}};
  registry.settle();
  EXPECT_EQ(registry.read()->in_use(), 2) << "one is still mapped, one was never removed";
  release(doomed);
  host.released.push_back(doomed->memory().identity());
  registry.settle();
  EXPECT_EQ(registry.read()->in_use(), 1) << "a hint that comes twice ends it once";
}

TEST_F(RegistryTest, SettlingIsFreeWhileNothingIsDoomed) {
  const auto segment = add();
  pages(segment).areas = 1;
  registry.settle();
  EXPECT_EQ(host.released_asked, 0);
  remove(segment);
  registry.settle();
  EXPECT_EQ(host.released_asked, 1);
  release(segment);
  registry.settle();
  registry.settle();
  EXPECT_EQ(host.released_asked, 2);
}

/// Its last mapping goes while the watch is being set: no event tells of it.
class LastMomentHost : public FakeHost {
 public:
  void watch_release(const BackingMemory& memory) override {
    FakeHost::watch_release(memory);
    find(memory.identity())->areas = 0;
  }
};

TEST(RegistryRaceTest, TheLastMappingGoesJustBeforeTheWatch) {
  LastMomentHost host;
  SegmentFiles files(host);
  const auto owner = std::make_shared<Registry>(host, files, Limits());
  Registry& registry = *owner;
  auto memory = host.create_memory({.name = "", .size_bytes = 4096});
  host.last().areas = 1;
  {
    Registry::WriteGuard state = registry.write();
    const auto free = state->next_id();
    auto segment = std::make_shared<Segment>(creation(free->id, 0, 4096), std::move(*memory));
    Dropped dropped;
    state.apply(InsertSegment{*free, segment}, dropped);
    state.apply(RemoveSegment{segment}, dropped);
  }
  EXPECT_EQ(registry.read()->in_use(), 0);
  EXPECT_TRUE(host.watched.empty());
}

TEST_F(RegistryTest, TheKeyOfARemovedSegmentIsNotItsSuccessors) {
  const auto first = add(7);
  pages(first).areas = 1;
  remove(first);
  const auto second = add(7);
  EXPECT_EQ(registry.read()->find_key(7), second);
  remove(first);
  EXPECT_EQ(registry.read()->find_key(7), second)
      << "removing the first again leaves the second alone";
  release(first);
  registry.settle();
  EXPECT_EQ(registry.read()->find_key(7), second);
}

TEST_F(RegistryTest, LockedPagesAreCharged) {
  const auto one = add(1, 4097);
  const auto two = add(2, 4096);
  lock(one, true, 5);
  lock(two, true, 5);
  EXPECT_EQ(registry.locked_pages(5), 3U);
  EXPECT_EQ(registry.locked_pages(6), 0U);
  EXPECT_EQ(pages(one).locked, LockMode::kLazy);
  lock(one, true, 6);
  EXPECT_EQ(registry.locked_pages(6), 0U) << "locked already";
  lock(one, false, 6);
  EXPECT_EQ(registry.locked_pages(5), 1U) << "given back to whom it was charged";
  EXPECT_EQ(pages(one).locked, LockMode::kNone);
  lock(one, false, 6);
  EXPECT_EQ(registry.locked_pages(5), 1U);
  remove(two);
  EXPECT_EQ(registry.locked_pages(5), 0U);
}

TEST_F(RegistryTest, MappedOrNot) {
  const auto segment = add();
  EXPECT_FALSE(registry.anything_mapped());
  pages(segment).areas = 1;
  EXPECT_TRUE(registry.anything_mapped());
}

TEST_F(RegistryTest, TheLimitsMayChange) {
  for (int count = 0; count < 4; ++count) ASSERT_NE(add(), nullptr);
  set_limits(registry, {.shmmax = 1, .shmall = 2, .shmmni = 5});
  EXPECT_EQ(registry.read()->limits(), (Limits{.shmmax = 1, .shmall = 2, .shmmni = 5}));
  EXPECT_NE(add(), nullptr);
  set_limits(registry, {.shmmax = 1, .shmall = 2, .shmmni = 3});
  EXPECT_EQ(registry.read()->next_id().error(), Errno(ENOSPC));
  EXPECT_EQ(registry.read()->in_use(), 5) << "what is there stays";
}

// kernel.shm_next_id: for one segment, which must have been entered.
TEST_F(RegistryTest, TheNextIdentifierMayBeAskedFor) {
  EXPECT_EQ(registry.read()->next_id_hint(), -1);
  registry.change(SetNextId{(3 << 15) + 9});
  EXPECT_EQ(registry.read()->next_id()->id, (3 << 15) + 9);
  EXPECT_EQ(registry.read()->next_id_hint(), (3 << 15) + 9) << "choosing is not yet taking";
  EXPECT_EQ(add()->id(), (3 << 15) + 9);
  EXPECT_EQ(registry.read()->next_id_hint(), -1);
  EXPECT_EQ(add()->id(), 0);
}

TEST_F(RegistryTest, Rows) {
  const auto first = add(7, 100);
  const auto second = add(8, 5000);
  const auto third = add(9, 1);
  remove(second);
  pages(third).areas = 3;
  pages(third).usage = {2, 1};
  first->note_attach({{4, nullptr}, 55});
  FakeViewpoint viewpoint;
  const auto shown = registry.rows(viewpoint);
  ASSERT_TRUE(shown);
  const auto& rows = *shown;
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].id, first->id());
  EXPECT_EQ(rows[0].ds.key, 7);
  EXPECT_EQ(rows[0].ds.segsz_bytes, 100U);
  EXPECT_EQ(rows[0].ds.nattch, 0U);
  EXPECT_EQ(rows[0].ds.atime, 55);
  EXPECT_EQ(rows[0].ds.lpid, 4);
  EXPECT_EQ(rows[0].ds.cpid, 1);
  EXPECT_EQ(rows[1].id, third->id());
  EXPECT_EQ(rows[1].ds.nattch, 3U);
  EXPECT_EQ(rows[1].usage.resident, 2U);
  EXPECT_EQ(rows[1].usage.swapped, 1U);
}

TEST_F(RegistryTest, RowsOfAPart) {
  registry.change(SetLimit{SetLimit::Which::kShmmni, 6});
  std::vector<Registry::SegmentPointer> segments;
  for (int key = 1; key <= 6; ++key) segments.push_back(add(key, 1));
  for (const auto& segment : segments) pages(segment).areas = 2;
  pages(segments[2]).areas = 0;
  remove(segments[2]);
  FakeViewpoint viewpoint;
  const auto part = registry.rows(viewpoint, {.first_index = 1, .most = 3});
  ASSERT_TRUE(part);
  ASSERT_EQ(part->size(), 3U);
  EXPECT_EQ(part->at(0).id, segments[1]->id());
  EXPECT_EQ(part->at(1).id, segments[3]->id());
  EXPECT_EQ(part->at(2).ds.nattch, 2U);
  EXPECT_EQ(host.counted, 3) << "nobody is counted who is not shown";
  const auto uncounted = registry.rows(viewpoint, {.first_index = 5, .count_attaches = false});
  ASSERT_TRUE(uncounted);
  ASSERT_EQ(uncounted->size(), 1U);
  EXPECT_EQ(uncounted->front().ds.nattch, 0U);
  EXPECT_EQ(host.counted, 3);
  EXPECT_TRUE(registry.rows(viewpoint, {.first_index = 6})->empty());
}

TEST_F(RegistryTest, ProcessesThatDoNotLetUsLookNeverMakeItSeemAbandoned) {
  const std::vector<Registry::SegmentPointer> segments{add(7, 1), add(8, 1), add(9, 1)};
  for (const auto& segment : segments) pages(segment).areas = 5;
  pages(segments[1]).hidden_looks = 1000;
  pages(segments[2]).areas = 0;
  host.counts_complete = false;
  const auto counts = registry.count_attaches(segments);
  ASSERT_TRUE(counts);
  EXPECT_EQ(*counts, (std::vector<std::uint64_t>{5, 1, 0}));
  EXPECT_LE(host.counted, 4) << "and are not asked again and again";
}

TEST_F(RegistryTest, WhatCannotBeCountedIsAnErrorAndNotZero) {
  const std::vector<Registry::SegmentPointer> segments{add(7, 1)};
  pages(segments[0]).areas = 5;
  host.count_error = Errno(ENOMEM);
  EXPECT_EQ(registry.count_attaches(segments).error(), Errno(ENOMEM));
  FakeViewpoint viewpoint;
  EXPECT_EQ(registry.rows(viewpoint).error(), Errno(ENOMEM));
}

TEST_F(RegistryTest, WhoChangesOneLimitLeavesTheOthers) {
  set_limits(registry, {.shmmax = 0, .shmall = 0, .shmmni = 5});
  std::vector<std::thread> writers;
  for (const auto limit : {SetLimit::Which::kShmmax, SetLimit::Which::kShmall}) {
    writers.emplace_back([this, limit] {
      for (std::uint64_t value = 1; value <= 20000; ++value) {
        registry.change(SetLimit{limit, value});
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(registry.read()->limits(), (Limits{.shmmax = 20000, .shmall = 20000, .shmmni = 5}));
}

// A process that forks and ends may hide its child from a look, but not from the kernel.
TEST_F(RegistryTest, WhoHidesFromALookIsLookedForAgain) {
  const std::vector<Registry::SegmentPointer> segments{add(7, 1), add(8, 1), add(9, 1)};
  for (const auto& segment : segments) pages(segment).areas = 5;
  pages(segments[1]).hidden_looks = 1;
  EXPECT_EQ(*registry.count_attaches(segments), (std::vector<std::uint64_t>{5, 5, 5}));
  EXPECT_EQ(host.counted, 4) << "again, but for the one that was missed";
}

// Such as those whose maps we may not read.
TEST_F(RegistryTest, WhoHidesForEverIsNotLookedForSo) {
  const std::vector<Registry::SegmentPointer> segments{add(7, 1), add(8, 1)};
  pages(segments[0]).areas = pages(segments[1]).areas = 5;
  pages(segments[1]).hidden_looks = 1000;
  EXPECT_EQ(*registry.count_attaches(segments), (std::vector<std::uint64_t>{5, 0}));
  EXPECT_LT(host.counted, 20);
  // All have left between the question and the count.
  pages(segments[1]).areas = 0;
  host.counted = 0;
  EXPECT_EQ(*registry.count_attaches(segments), (std::vector<std::uint64_t>{5, 0}));
  EXPECT_EQ(host.counted, 2);
}

TEST_F(RegistryTest, NothingOutlivesTheNamespace) {
  auto owner_alone =
      std::make_shared<Registry>(host, files, Limits{.shmmax = 1, .shmall = 1, .shmmni = 1});
  auto memory = host.create_memory({.name = "", .size_bytes = 4096});
  const FileIdentity file = host.last().identity;
  host.last().areas = 1;
  {
    Registry::WriteGuard state = owner_alone->write();
    const auto free = state->next_id();
    auto segment = std::make_shared<Segment>(creation(free->id, 7, 4096), std::move(*memory));
    Dropped dropped;
    state.apply(InsertSegment{*free, segment}, dropped);
    state.apply(RemoveSegment{segment}, dropped);
  }
  EXPECT_TRUE(host.is_watched(file));
  owner_alone.reset();
  EXPECT_EQ(files.find(file), nullptr);
  EXPECT_TRUE(host.watched.empty());
  EXPECT_TRUE(host.pages.back()->destroyed);
}

// Whoever made a segment must not be told of one that is not there.
TEST_F(RegistryTest, WhatCannotBeEnteredLeavesNothingBehind) {
  registry.set_rmid_forced(true);
  auto memory = host.create_memory({.name = "", .size_bytes = 4096});
  const FileIdentity file = host.last().identity;
  Registry::WriteGuard state = registry.write();
  const auto free = state->next_id();
  const auto segment = std::make_shared<Segment>(creation(free->id, 7, 4096), std::move(*memory));
  host.out_of_memory = true;
  EXPECT_THROW(state.prepare(InsertSegment{*free, segment}), std::bad_alloc);
  EXPECT_EQ(state->find_key(7), nullptr);
  EXPECT_EQ(files.find(file), nullptr);
  EXPECT_EQ(state->in_use(), 0);
  host.out_of_memory = false;
  state.prepare(InsertSegment{*free, segment});
  EXPECT_TRUE(host.is_watched(file));
  state.cancel();
  EXPECT_EQ(state->find_key(7), nullptr);
  EXPECT_EQ(files.find(file), nullptr);
  EXPECT_FALSE(host.is_watched(file));
  EXPECT_EQ(state->total_pages(), 0U);
  state.cancel();
}

TEST_F(RegistryTest, ItsEndNeedsNoMemory) {
  auto owner_alone =
      std::make_shared<Registry>(host, files, Limits{.shmmax = 4096, .shmall = 1, .shmmni = 1});
  auto memory = host.create_memory({.name = "", .size_bytes = 4096});
  {
    Registry::WriteGuard state = owner_alone->write();
    const auto free = state->next_id();
    auto segment = std::make_shared<Segment>(creation(free->id, 7, 4096), std::move(*memory));
    Dropped dropped;
    state.apply(InsertSegment{*free, segment}, dropped);
  }
  host.out_of_memory = true;
  owner_alone.reset();
  EXPECT_TRUE(host.pages.back()->destroyed);
}

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

// Looking, settling and changing at once: for the thread sanitizer as much as for the assertions.
TEST(RegistryThreadsTest, LookersAndChangers) {
  struct ThreadedHost : FakeHost {
    std::vector<FileIdentity> take_released(std::size_t /*most*/) override { return {}; }
  } host;
  SegmentFiles files(host);
  const auto owner = std::make_shared<Registry>(host, files, Limits());
  Registry& registry = *owner;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 2; ++thread) {
    threads.emplace_back([&registry] {
      for (int count = 0; count < 2000; ++count) {
        registry.settle();
        const Registry::ReadGuard state = registry.read();
        const auto segment = state->find_key(7);
        EXPECT_TRUE(segment == nullptr || state->of(*segment).perm.mode == 0600U);
      }
    });
  }
  for (int count = 0; count < 500; ++count) {
    auto memory = host.create_memory({.name = "", .size_bytes = 4096});
    Registry::WriteGuard state = registry.write();
    const auto free = state->next_id();
    auto segment = std::make_shared<Segment>(creation(free->id, 7, 4096), std::move(*memory));
    Dropped dropped;
    state.apply(InsertSegment{*free, segment}, dropped);
    state.apply(RemoveSegment{segment}, dropped);
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(registry.read()->in_use(), 0);
}

}  // namespace
}  // namespace shmvisor
