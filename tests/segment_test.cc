// Segment as the object that is mapped.
#include "emulation/shm/segment.h"

#include "tests/fakes/shm_test.h"

namespace shmvisor {
namespace {

class SegmentTest : public ShmTest {
 protected:
  SegmentTest() : segment_(made()) {}

  Segment& segment_;

 private:
  Segment& made() {
    const int id = segment(5000);
    return **registry.read()->find(id);
  }
};

TEST_F(SegmentTest, ItsIdentityIsThatOfItsFile) {
  EXPECT_EQ(segment_.identity().name, "/memfd:SYSV00000000 (deleted)");
  EXPECT_EQ(segment_.identity().file, segment_.memory().identity());
  EXPECT_EQ(segment_.length_bytes(), 2 * kPage) << "whole pages";
}

TEST_F(SegmentTest, OffsetsAreThoseOfTheFile) {
  const auto whole = segment_.translate({0, 2 * kPage}, {true, true, false});
  ASSERT_TRUE(whole);
  EXPECT_EQ(&whole->file, &segment_.memory());
  EXPECT_EQ(whole->file_offset, 0U);
  EXPECT_EQ(whole->maximum, kAnyAccess);
  const auto second = segment_.translate({kPage, kPage}, {true, false, false});
  ASSERT_TRUE(second);
  EXPECT_EQ(second->source, (OffsetRange{kPage, kPage}));
  EXPECT_EQ(second->file_offset, kPage);
  EXPECT_EQ(second->maximum, kReadExecute) << "who begins without write never gets it";
}

TEST_F(SegmentTest, OffsetsThatItDoesNotHave) {
  for (const OffsetRange& range : {OffsetRange{0, 3 * kPage}, OffsetRange{2 * kPage, kPage},
                                   OffsetRange{UINT64_MAX - kPage + 1, 2 * kPage}}) {
    EXPECT_EQ(segment_.translate(range, kAnyAccess).error(), Errno(EFAULT));
  }
}

TEST_F(SegmentTest, WhoMappedAndUnmappedItLast) {
  segment_.add_mapping({0, 2 * kPage}, {{5, nullptr}, 100});
  EXPECT_EQ(segment_.stamps().atime, 100);
  EXPECT_EQ(segment_.stamps().dtime, 0);
  EXPECT_EQ(segment_.stamps().lpid.pid, 5);
  segment_.remove_mapping({0, kPage}, {{6, nullptr}, 200});
  EXPECT_EQ(segment_.stamps().atime, 100);
  EXPECT_EQ(segment_.stamps().dtime, 200);
  EXPECT_EQ(segment_.stamps().lpid.pid, 6);
  segment_.copy_mapping({kPage, kPage}, {{7, nullptr}, 300});
  EXPECT_EQ(segment_.stamps().atime, 300) << "shm_open(), whoever calls it";
  EXPECT_EQ(segment_.stamps().dtime, 200);
  EXPECT_EQ(segment_.stamps().lpid.pid, 7);
}

TEST_F(SegmentTest, WhatDidNotHappenIsTakenBackAndNothingElse) {
  const MappingActor first{{5, nullptr}, 100};
  const MappingActor second{{6, nullptr}, 200};
  segment_.add_mapping({0, 2 * kPage}, {{4, nullptr}, 50});
  const auto failed = segment_.change_for_now(Segment::Change::kAttach, first);
  const auto failed_later = segment_.change_for_now(Segment::Change::kDetach, second);
  EXPECT_EQ(segment_.stamps().atime, 100);
  EXPECT_EQ(segment_.stamps().dtime, 200);
  segment_.take_back(failed);
  EXPECT_EQ(segment_.stamps().atime, 50);
  EXPECT_EQ(segment_.stamps().dtime, 200);
  EXPECT_EQ(segment_.stamps().lpid.pid, 6);
  segment_.take_back(failed_later);
  EXPECT_EQ(segment_.stamps().dtime, 0);
  EXPECT_EQ(segment_.stamps().lpid.pid, 4);

  const auto failed_again = segment_.change_for_now(Segment::Change::kAttach, first);
  segment_.add_mapping({0, 2 * kPage}, first);
  segment_.take_back(failed_again);
  EXPECT_EQ(segment_.stamps().atime, 100) << "of another thread, in the same second";
  EXPECT_EQ(segment_.stamps().lpid.pid, 5);
}

TEST_F(SegmentTest, AfterManyOthersNothingIsTakenBack) {
  const auto failed = segment_.change_for_now(Segment::Change::kDetach, {{5, nullptr}, 100});
  for (int others = 0; others < 20; ++others) {
    segment_.add_mapping({0, 2 * kPage}, {{6, nullptr}, 200});
  }
  segment_.take_back(failed);
  EXPECT_EQ(segment_.stamps().dtime, 100);
  EXPECT_EQ(segment_.stamps().lpid.pid, 6);
}

TEST_F(SegmentTest, ItsBytesFromWithin) {
  BackingMemory& memory = segment_.memory();
  const auto word = std::as_bytes(std::span("across", 6));
  ASSERT_TRUE(memory.write_at(kPage - 3, word));
  const auto mapped = memory.map_internal({kPage, kPage}, {true, false, false});
  ASSERT_TRUE(mapped);
  EXPECT_EQ(std::memcmp(mapped->bytes().data(), "oss", 3), 0);
  std::array<std::byte, 6> back{};
  ASSERT_TRUE(memory.read_at(kPage - 3, back));
  EXPECT_EQ(std::memcmp(back.data(), "across", 6), 0);
}

}  // namespace
}  // namespace shmvisor
