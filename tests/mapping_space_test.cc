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
  Result<std::optional<std::uint64_t>> map(Segment& segment, const MapRequest& request) {
    return space().map(request, *segment.memory().open(request.maximum));
  }
};

TEST(AddressRangeTest, WhatOverlaps) {
  constexpr AddressRange kRange{10, 10};
  EXPECT_TRUE(kRange.overlaps({0, 15}));
  EXPECT_TRUE(kRange.overlaps({12, 2}));
  EXPECT_TRUE(kRange.overlaps({15, 50}));
  EXPECT_FALSE(kRange.overlaps({0, 10}));
  EXPECT_FALSE(kRange.overlaps({20, 10}));
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
  const FileIdentity file = object(id)->memory().identity();
  EXPECT_EQ((*both)[0], (MappedArea{{kSpot, 4 * kPage}, 0, file, {true, true, false}}));
  EXPECT_EQ((*both)[1].access, (Access{true, false, false}));
  space().look_error = ESRCH;
  EXPECT_EQ(space().list({kSpot, kPage}).error(), Errno(ESRCH));
}

}  // namespace
}  // namespace shmvisor
