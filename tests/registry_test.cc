#include "emulation/shm/registry.h"

#include <thread>

#include "tests/registry_fixture.h"

namespace shmvisor {
namespace {

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
  std::shared_ptr<Segment> segment;
  {
    Registry::WriteGuard state = registry.write();
    const auto free = state->next_id();
    segment = std::make_shared<Segment>(creation(free->id, 7, 4096), std::move(*memory));
    Dropped none;
    host.out_of_memory = true;
    EXPECT_THROW(state.prepare(InsertSegment{*free, segment}, none), std::bad_alloc);
    EXPECT_EQ(state->find_key(7), nullptr);
    EXPECT_EQ(files.find(file), nullptr);
    EXPECT_EQ(state->in_use(), 0);
    host.out_of_memory = false;
    state.prepare(InsertSegment{*free, segment}, none);
    EXPECT_TRUE(host.is_watched(file));
  }
  EXPECT_EQ(registry.read()->find_key(7), nullptr);
  EXPECT_EQ(files.find(file), nullptr);
  EXPECT_FALSE(host.is_watched(file));
  EXPECT_EQ(registry.read()->total_pages(), 0U);
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
