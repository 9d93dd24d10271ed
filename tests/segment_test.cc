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

TEST_F(SegmentTest, WhoMappedAndUnmappedItLast) {
  segment_.note_attach({{5, nullptr}, 100});
  EXPECT_EQ(segment_.stamps().atime, 100);
  EXPECT_EQ(segment_.stamps().dtime, 0);
  EXPECT_EQ(segment_.stamps().lpid.pid, 5);
  segment_.note_detach({{6, nullptr}, 200});
  EXPECT_EQ(segment_.stamps().atime, 100);
  EXPECT_EQ(segment_.stamps().dtime, 200);
  EXPECT_EQ(segment_.stamps().lpid.pid, 6);
  segment_.note_attach({{7, nullptr}, 300});
  EXPECT_EQ(segment_.stamps().atime, 300) << "a copy is an attach";
  EXPECT_EQ(segment_.stamps().dtime, 200);
  EXPECT_EQ(segment_.stamps().lpid.pid, 7);
}

TEST_F(SegmentTest, WhatDidNotHappenIsTakenBackAndNothingElse) {
  const MappingActor first{{5, nullptr}, 100};
  const MappingActor second{{6, nullptr}, 200};
  segment_.note_attach({{4, nullptr}, 50});
  const auto failed = segment_.note_provisionally(Segment::Change::kAttach, first);
  const auto failed_later = segment_.note_provisionally(Segment::Change::kDetach, second);
  EXPECT_EQ(segment_.stamps().atime, 100);
  EXPECT_EQ(segment_.stamps().dtime, 200);
  segment_.retract(failed);
  EXPECT_EQ(segment_.stamps().atime, 50);
  EXPECT_EQ(segment_.stamps().dtime, 200);
  EXPECT_EQ(segment_.stamps().lpid.pid, 6);
  segment_.retract(failed_later);
  EXPECT_EQ(segment_.stamps().dtime, 0);
  EXPECT_EQ(segment_.stamps().lpid.pid, 4);

  const auto failed_again = segment_.note_provisionally(Segment::Change::kAttach, first);
  segment_.note_attach(first);
  segment_.retract(failed_again);
  EXPECT_EQ(segment_.stamps().atime, 100) << "of another thread, in the same second";
  EXPECT_EQ(segment_.stamps().lpid.pid, 5);
}

TEST_F(SegmentTest, AfterManyOthersNothingIsTakenBack) {
  const auto failed = segment_.note_provisionally(Segment::Change::kDetach, {{5, nullptr}, 100});
  for (int others = 0; others < 20; ++others) {
    segment_.note_attach({{6, nullptr}, 200});
  }
  segment_.retract(failed);
  EXPECT_EQ(segment_.stamps().dtime, 100);
  EXPECT_EQ(segment_.stamps().lpid.pid, 6);
}

}  // namespace
}  // namespace shmvisor
