// MappingSpace: what it does for every implementation, over the one in memory.
#include "emulation/memmap/mapping_space.h"

#include "tests/fakes/shm_test.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kSpot = 0x10'0000'0000;

class MappingSpaceTest : public ShmTest {
 protected:
  std::shared_ptr<Segment> object(int id) {
    auto found = registry.read()->find(id);
    EXPECT_TRUE(found);
    return *found;
  }
  FakeSpace& space() { return caller.space(); }
  static Invalidation all_of(const Segment& segment) {
    return {segment.identity().file, {0, segment.length_bytes()}, nullptr};
  }
  std::uint64_t changed(const Invalidation& stale) {
    const auto count = space().invalidate(stale);
    EXPECT_TRUE(count) << "errno " << count.error().value();
    return *count;
  }
  const FakeSpace::Area* area(std::uint64_t address) {
    const auto found = space().areas().find(address);
    return found == space().areas().end() ? nullptr : &found->second;
  }
  Result<std::optional<std::uint64_t>> map(Segment& segment, const MapRequest& request) {
    return space().map(request, *segment.memory().open(request.maximum));
  }
};

TEST(RangeTest, WhatTwoHaveInCommon) {
  constexpr OffsetRange kRange{10, 10};
  EXPECT_EQ(kRange.common({0, 15}), (OffsetRange{10, 5}));
  EXPECT_EQ(kRange.common({12, 2}), (OffsetRange{12, 2}));
  EXPECT_EQ(kRange.common({15, 50}), (OffsetRange{15, 5}));
  EXPECT_TRUE(kRange.common({0, 10}).empty());
  EXPECT_TRUE(kRange.common({20, 10}).empty());
  EXPECT_TRUE(kRange.contains({10, 10}));
  EXPECT_FALSE(kRange.contains({9, 5}));
  EXPECT_FALSE(kRange.contains({15, 6}));
}

TEST(AccessTest, Covers) {
  EXPECT_TRUE(kAnyAccess.covers(kReadExecute));
  EXPECT_FALSE(kReadExecute.covers(kAnyAccess));
  EXPECT_TRUE(kReadExecute.covers({}));
}

TEST(MapRequestTest, WhatIsNoRequest) {
  MapRequest request{.address = 0x1000, .length_bytes = 0x2000, .access = {true, true, false}};
  EXPECT_TRUE(request.valid());
  request.maximum = kReadExecute;
  EXPECT_FALSE(request.valid()) << "more than its maximum";
  request.access.write = false;
  EXPECT_TRUE(request.valid());
  request.offset_bytes = 1;
  EXPECT_FALSE(request.valid());
  request.offset_bytes = UINT64_MAX - 0xfff;
  EXPECT_FALSE(request.valid()) << "its offsets wrap";
  request.offset_bytes = 0;
  request.address = 1;
  EXPECT_FALSE(request.valid());
}

TEST_F(MappingSpaceTest, AHintIsTakenWhereItIsFree) {
  const auto segment = object(this->segment(2 * kPage));
  MapRequest request{.address = kSpot, .length_bytes = 2 * kPage, .access = {true, true, false}};
  EXPECT_EQ(*map(*segment, request), kSpot);
  const auto elsewhere = map(*segment, request);
  ASSERT_TRUE(elsewhere);
  EXPECT_NE(*elsewhere, kSpot);
}

TEST_F(MappingSpaceTest, Below4GiB) {
  const auto segment = object(this->segment(kPage));
  MapRequest request{.length_bytes = kPage, .access = {true, true, false}};
  request.below_4gib = true;
  const auto address = map(*segment, request);
  ASSERT_TRUE(address);
  EXPECT_LE(address->value(), UINT32_MAX - kPage);
}

TEST_F(MappingSpaceTest, AcrossFourGiBWhereThatIsNamed) {
  const auto segment = object(this->segment(2 * kPage));
  MapRequest request{.address = 0xfffff000,
                     .length_bytes = 2 * kPage,
                     .placement = Placement::kExact,
                     .access = {true, true, false}};
  request.below_4gib = true;
  EXPECT_EQ(*map(*segment, request), 0xfffff000);
}

#ifndef NDEBUG
using MappingSpaceDeathTest = MappingSpaceTest;

TEST_F(MappingSpaceDeathTest, ConditionsAreChecked) {
  const auto segment = object(this->segment(kPage));
  MapRequest request{.address = 1, .length_bytes = kPage, .access = {true, true, false}};
  EXPECT_DEATH((void)map(*segment, request), "valid");
  request.address = 0;
  request.maximum = kReadExecute;
  EXPECT_DEATH((void)map(*segment, request), "valid") << "write is beyond the maximum";
  EXPECT_DEATH((void)space().list({UINT64_MAX, 2}), "wraps");
  EXPECT_DEATH((void)space().invalidate({segment->identity().file, {0, 0}, nullptr}), "empty");
  EXPECT_DEATH((void)space().invalidate({segment->identity().file, {1, kPage}, nullptr}), "Page");
}
#endif

TEST_F(MappingSpaceTest, ListsWhatReachesIntoTheRange) {
  const int id = segment(4 * kPage);
  attach(id, kSpot);
  attach(id, kSpot + 8 * kPage, SHM_RDONLY);
  space().map_anonymous({kSpot + 4 * kPage, kPage});
  EXPECT_EQ(space().list({kSpot - kPage, kPage})->size(), 0U);
  EXPECT_EQ(space().list({kSpot + 3 * kPage, kPage})->size(), 1U);
  EXPECT_EQ(space().list({kSpot + 3 * kPage, 5 * kPage})->size(), 1U) << "up to the second one";
  const auto both = space().list({kSpot + 3 * kPage, 6 * kPage});
  ASSERT_TRUE(both && both->size() == 2);
  const FileIdentity file = object(id)->identity().file;
  EXPECT_EQ((*both)[0], (MappedArea{{kSpot, 4 * kPage}, 0, file, {true, true, false}}));
  EXPECT_EQ((*both)[1].access, (Access{true, false, false}));
  space().look_error = ESRCH;
  EXPECT_EQ(space().list({kSpot, kPage}).error(), Errno(ESRCH));
}

TEST_F(MappingSpaceTest, InvalidatedWithoutReplacementNothingIsLeft) {
  const int id = segment(4 * kPage);
  const int other = segment(4 * kPage);
  attach(id, kSpot);
  attach(other, kSpot + 4 * kPage);
  attach(id, kSpot + 16 * kPage, SHM_RDONLY);
  EXPECT_EQ(changed(all_of(*object(id))), 2U);
  ASSERT_EQ(space().areas().size(), 1U);
  EXPECT_NE(area(kSpot + 4 * kPage), nullptr) << "another segment's stays";
  EXPECT_EQ(stat(id).shm_nattch, 0U);
  EXPECT_EQ(changed(all_of(*object(id))), 0U);
}

TEST_F(MappingSpaceTest, InvalidatedInPartTheRestStays) {
  const int id = segment(8 * kPage);
  attach(id, kSpot);
  // Moved pages are found by their offsets, not by their addresses.
  space().move({kSpot + 5 * kPage, 3 * kPage}, kSpot + 0x100000);
  EXPECT_EQ(changed({object(id)->identity().file, {4 * kPage, 2 * kPage}, nullptr}), 2U);
  EXPECT_EQ(area(kSpot)->length, 4 * kPage);
  EXPECT_EQ(area(kSpot + 0x100000), nullptr);
  ASSERT_NE(area(kSpot + 0x100000 + kPage), nullptr);
  EXPECT_EQ(area(kSpot + 0x100000 + kPage)->length, 2 * kPage);
  EXPECT_EQ(area(kSpot + 0x100000 + kPage)->file_offset_bytes, 6 * kPage);
}

TEST_F(MappingSpaceTest, InvalidatedWithAReplacementItIsMappedInstead) {
  const int id = segment(4 * kPage, 0700);
  const auto fresh = object(segment(4 * kPage));
  attach(id, kSpot, SHM_EXEC);
  attach(id, kSpot + 16 * kPage, SHM_RDONLY);
  space().split({kSpot + kPage, kPage});
  Invalidation stale = all_of(*object(id));
  stale.replacement = fresh.get();
  EXPECT_EQ(changed(stale), 4U);
  EXPECT_EQ(stat(id).shm_nattch, 0U);
  EXPECT_EQ(stat(fresh->id()).shm_nattch, 4U);
  const FakeSpace::Area* middle = area(kSpot + kPage);
  ASSERT_NE(middle, nullptr);
  EXPECT_EQ(middle->pages->identity, fresh->identity().file);
  EXPECT_EQ(middle->file_offset_bytes, kPage);
  EXPECT_EQ(middle->access, kAnyAccess);
  EXPECT_EQ(middle->maximum, kAnyAccess);
  EXPECT_EQ(area(kSpot + 16 * kPage)->maximum, kReadExecute) << "never more than it had";
  EXPECT_EQ(space().requests.back().name, fresh->identity().name);
}

TEST_F(MappingSpaceTest, AReplacedMappingKeepsItsLock) {
  const auto old = object(segment(2 * kPage));
  const auto fresh = object(segment(2 * kPage));
  MapRequest request{.address = kSpot,
                     .length_bytes = 2 * kPage,
                     .placement = Placement::kExact,
                     .access = {true, false, false},
                     .lock = LockMode::kLazy};
  ASSERT_TRUE(map(*old, request));
  Invalidation stale = all_of(*old);
  stale.replacement = fresh.get();
  EXPECT_EQ(changed(stale), 1U);
  EXPECT_EQ(area(kSpot)->lock, LockMode::kLazy);
  EXPECT_EQ(area(kSpot)->access, (Access{true, false, false})) << "as mprotect left it";
  EXPECT_EQ(area(kSpot)->maximum, kAnyAccess) << "and may change it again";
}

TEST_F(MappingSpaceTest, WhereTheReplacementIsShorterNothingIsMapped) {
  const int id = segment(4 * kPage);
  const auto fresh = object(segment(kPage));
  attach(id, kSpot);
  Invalidation stale = all_of(*object(id));
  stale.replacement = fresh.get();
  EXPECT_EQ(changed(stale), 1U);
  ASSERT_EQ(space().areas().size(), 1U);
  EXPECT_EQ(area(kSpot)->length, kPage);
  attach(id, kSpot + 16 * kPage);
  stale.offsets = {2 * kPage, kPage};
  EXPECT_EQ(changed(stale), 1U);
  EXPECT_FALSE(space().mapped({kSpot + 18 * kPage, kPage}));
  EXPECT_TRUE(space().mapped({kSpot + 19 * kPage, kPage}));
}

TEST_F(MappingSpaceTest, ErrorsOfAnInvalidation) {
  const int id = segment(kPage);
  const auto fresh = object(segment(kPage));
  attach(id, kSpot);
  Invalidation stale = all_of(*object(id));
  space().unmap_error = EACCES;
  EXPECT_EQ(space().invalidate(stale).error(), Errno(EACCES));
  stale.replacement = fresh.get();
  space().limits_error = ESRCH;
  EXPECT_EQ(space().invalidate(stale).error(), Errno(ESRCH));
  space().limits_error = 0;
  space().map_error = ENOMEM;
  EXPECT_EQ(space().invalidate(stale).error(), Errno(ENOMEM));
  EXPECT_FALSE(host.last().held()) << "no description is left over";
}

}  // namespace
}  // namespace shmvisor
