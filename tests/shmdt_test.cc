// shmdt(2), against ksys_shmdt() of ipc/shm.c.
#include <functional>
#include <utility>

#include "tests/fakes/shm_test.h"
#include "tests/fakes/slow_freeing.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kSpot = 0x10'0000'0000;

class ShmdtTest : public ShmTest {
 protected:
  ShmdtTest() : id_(segment(4 * kPage)) { attach(id_, kSpot); }

  FakeSpace& space() { return caller.space(); }
  std::uint64_t nattch() { return stat(id_).shm_nattch; }

  const int id_;
};

TEST_F(ShmdtTest, AWholeAttach) {
  host.now = 3'000'000;
  EXPECT_EQ(dt(kSpot), 0);
  EXPECT_TRUE(space().areas().empty());
  const struct shmid_ds ds = stat(id_);
  EXPECT_EQ(ds.shm_nattch, 0U);
  EXPECT_EQ(ds.shm_dtime, 3'000'000);
  EXPECT_EQ(ds.shm_atime, 1'000'000);
  EXPECT_EQ(ds.shm_lpid, 4711);
}

TEST_F(ShmdtTest, LeftToTheCallerItIsDoneAtOnceAndCanBeTakenBack) {
  space().callers_complete = true;
  host.now = 3'000'000;
  const auto undo = answer_call(decode(dt_call(kSpot)), caller, registry).undo();
  ASSERT_TRUE(undo);
  EXPECT_EQ(stat(id_).shm_dtime, 3'000'000);
  undo();
  EXPECT_EQ(stat(id_).shm_dtime, 0);
}

TEST_F(ShmdtTest, OneOfSeveralFragmentsIsNotLeftToTheCaller) {
  space().callers_complete = true;
  space().split({kSpot + kPage, kPage});
  EXPECT_FALSE(answer_call(decode(dt_call(kSpot)), caller, registry).undo());
  EXPECT_TRUE(space().areas().empty());
}

// A server died behind the munmap(2): the call comes again.
class ShmdtAgainTest : public ShmdtTest {
 protected:
  ShmdtAgainTest() {
    const auto area = space().area_above(kSpot);
    file_ = (*area)->file;
    attach(id_, kElsewhere);
  }
  /// The first `bytes` of the attach are unmapped, and nobody has noted that.
  void unmap_unseen(std::uint64_t bytes) {
    EXPECT_TRUE(space().unmap({kSpot, bytes}, false));
    space().unmapped.clear();
    space().was_unmapped = MappingSpace::Unmapped{file_, {kSpot, bytes}};
    host.now = 3'000'000;
  }

  static constexpr std::uint64_t kElsewhere = kSpot + 0x1000'0000;
  FileIdentity file_;
};

TEST_F(ShmdtAgainTest, ItIsDone) {
  unmap_unseen(4 * kPage);
  EXPECT_EQ(dt(kSpot), 0);
  EXPECT_TRUE(space().unmapped.empty());
  EXPECT_EQ(nattch(), 1U);
  EXPECT_EQ(stat(id_).shm_dtime, 3'000'000);
}

TEST_F(ShmdtAgainTest, WhatAnotherThreadAttachedThereSinceStays) {
  unmap_unseen(4 * kPage);
  attach(id_, kSpot);
  EXPECT_EQ(dt(kSpot), 0);
  EXPECT_TRUE(space().unmapped.empty());
  EXPECT_EQ(nattch(), 2U);
  space().was_unmapped.reset();
  EXPECT_EQ(dt(kSpot), 0) << "a call of that thread's own";
  EXPECT_EQ(nattch(), 1U);
}

TEST_F(ShmdtAgainTest, TheOtherFragmentsGo) {
  space().split({kSpot + kPage, kPage});
  unmap_unseen(kPage);
  EXPECT_EQ(dt(kSpot), 0);
  EXPECT_EQ(space().unmapped.size(), 2U);
  EXPECT_EQ(nattch(), 1U);
}

TEST_F(ShmdtAgainTest, ItWasTheLastOfARemovedSegment) {
  EXPECT_EQ(dt(kElsewhere), 0);
  EXPECT_EQ(ctl(id_, IPC_RMID), 0);
  unmap_unseen(4 * kPage);
  registry.settle();
  EXPECT_EQ(dt(kSpot), 0);
  EXPECT_TRUE(space().unmapped.empty());
}

TEST_F(ShmdtTest, TwiceIsOnceTooOften) {
  EXPECT_EQ(dt(kSpot), 0);
  EXPECT_EQ(dt(kSpot), -EINVAL);
}

TEST_F(ShmdtTest, AddressesThatAreNone) {
  EXPECT_EQ(dt(kSpot + 1), -EINVAL);
  EXPECT_EQ(dt(kSpot + kPage), -EINVAL) << "the middle of an attach";
  EXPECT_EQ(dt(kSpot - kPage), -EINVAL);
  EXPECT_EQ(dt(0), -EINVAL);
  EXPECT_EQ(dt(~std::uint64_t{0} << 12), -EINVAL);
  EXPECT_EQ(nattch(), 1U);
  EXPECT_EQ(stat(id_).shm_dtime, 0) << "nothing happened";
  EXPECT_TRUE(space().unmapped.empty());
}

TEST_F(ShmdtTest, OtherMappingsAreNotAttaches) {
  space().map_anonymous({kSpot + 0x100000, kPage});
  EXPECT_EQ(dt(kSpot + 0x100000), -EINVAL);
}

TEST_F(ShmdtTest, OtherFilesAreNotAttaches) {
  space().map_file({kSpot + 0x100000, kPage}, {9, 9});
  EXPECT_EQ(dt(kSpot + 0x100000), -EINVAL);
  space().map_file({kSpot + kPage, kPage}, {9, 9});
  EXPECT_EQ(dt(kSpot), 0);
  EXPECT_TRUE(space().mapped({kSpot + kPage, kPage})) << "not even between two fragments";
}

TEST_F(ShmdtTest, TheOtherAttachesStay) {
  attach(id_, kSpot + 16 * kPage);
  attach(id_, kSpot + 4 * kPage);
  EXPECT_EQ(dt(kSpot), 0);
  EXPECT_EQ(nattch(), 2U);
  EXPECT_FALSE(space().mapped({kSpot, 4 * kPage}));
  EXPECT_EQ(dt(kSpot + 4 * kPage), 0);
  EXPECT_EQ(dt(kSpot + 16 * kPage), 0);
  EXPECT_EQ(nattch(), 0U);
}

TEST_F(ShmdtTest, FragmentsOfMprotect) {
  space().split({kSpot + kPage, kPage});
  EXPECT_EQ(nattch(), 3U);
  EXPECT_EQ(dt(kSpot), 0);
  EXPECT_TRUE(space().areas().empty());
}

TEST_F(ShmdtTest, TheMiddleUnmapped) {
  ASSERT_TRUE(space().unmap({kSpot + kPage, 2 * kPage}));
  EXPECT_EQ(nattch(), 2U);
  EXPECT_EQ(dt(kSpot), 0);
  EXPECT_TRUE(space().areas().empty());
}

TEST_F(ShmdtTest, TheBeginningUnmapped) {
  ASSERT_TRUE(space().unmap({kSpot, 3 * kPage}));
  EXPECT_EQ(dt(kSpot + 3 * kPage), -EINVAL) << "the attach's address is still the old one";
  EXPECT_EQ(dt(kSpot), 0);
  EXPECT_TRUE(space().areas().empty());
}

TEST_F(ShmdtTest, SomethingElseInTheGap) {
  space().map_anonymous({kSpot + kPage, kPage});
  EXPECT_EQ(dt(kSpot), 0);
  ASSERT_EQ(space().areas().size(), 1U);
  EXPECT_EQ(space().areas().begin()->first, kSpot + kPage) << "what is not ours stays";
}

TEST_F(ShmdtTest, ASealedFragmentStaysAndIsFoundAgain) {
  space().split({kSpot + kPage, kPage});
  space().sealed = AddressRange{kSpot + kPage, kPage};
  host.now = 3'000'000;
  EXPECT_EQ(dt(kSpot), 0);
  ASSERT_EQ(space().areas().size(), 1U);
  EXPECT_EQ(space().areas().begin()->first, kSpot + kPage);
  EXPECT_EQ(stat(id_).shm_dtime, 3'000'000);
  host.now = 4'000'000;
  EXPECT_EQ(dt(kSpot), 0);
  EXPECT_EQ(nattch(), 1U);
  EXPECT_EQ(stat(id_).shm_dtime, 3'000'000) << "nothing was detached";
}

TEST_F(ShmdtTest, AnotherSegmentInTheGapStays) {
  const int other = segment(kPage);
  attach(other, kSpot + kPage, SHM_REMAP);
  EXPECT_EQ(dt(kSpot), 0);
  EXPECT_EQ(stat(other).shm_nattch, 1U);
  EXPECT_EQ(nattch(), 0U);
}

// "With mremap(), someone could place page from another segment but with equal offsets".
TEST_F(ShmdtTest, AnotherSegmentWithTheOffsetOfTheGapStays) {
  const int other = segment(4 * kPage);
  attach(other, kSpot + 0x100000);
  ASSERT_TRUE(space().unmap({kSpot + kPage, kPage}));
  space().move({kSpot + 0x100000 + kPage, kPage}, kSpot + kPage);
  EXPECT_EQ(stat(other).shm_nattch, 3U);
  EXPECT_EQ(dt(kSpot), 0);
  EXPECT_EQ(stat(other).shm_nattch, 3U);
  EXPECT_EQ(nattch(), 0U);
  EXPECT_EQ(dt(kSpot), 0) << "now the page of the other one is what is found first";
  EXPECT_EQ(stat(other).shm_nattch, 2U);
}

TEST_F(ShmdtTest, AFragmentMovedAwayStaysAndIsFoundByItsOwnOffset) {
  space().move({kSpot + 3 * kPage, kPage}, kSpot + 0x100000);
  EXPECT_EQ(dt(kSpot), 0);
  EXPECT_EQ(nattch(), 1U);
  EXPECT_EQ(dt(kSpot + 0x100000), -EINVAL);
  EXPECT_EQ(dt(kSpot + 0x100000 - 3 * kPage), 0) << "where the attach would begin";
  EXPECT_EQ(nattch(), 0U);
}

TEST_F(ShmdtTest, AWholeAttachMoved) {
  space().move({kSpot, 4 * kPage}, kSpot + 0x100000);
  EXPECT_EQ(dt(kSpot), -EINVAL);
  EXPECT_EQ(dt(kSpot + 0x100000), 0);
  EXPECT_EQ(nattch(), 0U);
}

// Later fragments count only within the size of the segment; the first may lie anywhere above.
TEST_F(ShmdtTest, NothingBehindTheSegmentsEndBelongsToIt) {
  const int large = segment(8 * kPage);
  attach(large, kSpot + 0x100000);
  const int small = segment(2 * kPage);
  attach(small, kSpot + 0x200000);
  // The large one's 5th page where the small one's attach would have had it.
  space().move({kSpot + 0x100000 + 4 * kPage, kPage}, kSpot + 0x200000 + 4 * kPage);
  EXPECT_EQ(dt(kSpot + 0x200000), 0);
  EXPECT_EQ(stat(small).shm_nattch, 0U);
  EXPECT_EQ(stat(large).shm_nattch, 3U);
  EXPECT_EQ(dt(kSpot + 0x200000), 0) << "now it is found first";
  EXPECT_EQ(stat(large).shm_nattch, 2U);
}

TEST_F(ShmdtTest, ADetachOfARemovedSegmentEndsIt) {
  ASSERT_EQ(ctl(id_, IPC_RMID), 0);
  EXPECT_EQ(host.living(), 1);
  EXPECT_EQ(dt(kSpot), 0);
  EXPECT_EQ(ctl(id_, IPC_STAT), -EINVAL) << "the next call finds it gone";
  EXPECT_EQ(host.living(), 0);
}

// The main loop is told of the last unmapping as well, and may be first to drop the segment. Its
// memory is freed in a thread then.
TEST_F(ShmdtTest, ADetachWaitsForTheThreadThatFreesItsSegment) {
  ASSERT_EQ(ctl(id_, IPC_RMID), 0);
  const SlowFreeing freeing(host);
  space().while_finishing_unmapping = [&] { files.settle(); };
  EXPECT_EQ(dt(kSpot), 0);
  ASSERT_TRUE(freeing.begun()) << "settle() was not the first";
  EXPECT_TRUE(freeing.done());
}

// A write(2) that never ends keeps the memory: the caller is not kept as well.
TEST_F(ShmdtTest, ADetachDoesNotWaitForEverForItsSegment) {
  ASSERT_EQ(ctl(id_, IPC_RMID), 0);
  std::function<void()> kept;
  host.free_in = [&](std::function<void()> free) { kept = std::move(free); };
  space().while_finishing_unmapping = [&] { files.settle(); };
  EXPECT_EQ(dt(kSpot), 0);
  ASSERT_TRUE(kept);
  kept();
}

TEST_F(ShmdtTest, AProcessThatCannotBeReached) {
  space().unmap_error = EACCES;
  EXPECT_EQ(dt(kSpot), -EINVAL);
  EXPECT_EQ(stat(id_).shm_dtime, 0);
  space().unmap_error = 0;
  space().look_error = ESRCH;
  EXPECT_EQ(dt(kSpot), -EINVAL);
}

TEST_F(ShmdtTest, AnotherProcessHasItsOwnAttaches) {
  FakeCaller child(host, 4712);
  child.space().copy_from(space());
  EXPECT_EQ(nattch(), 2U);
  EXPECT_EQ(dt(child, kSpot), 0);
  EXPECT_EQ(nattch(), 1U);
  EXPECT_EQ(stat(id_).shm_lpid, 4712);
}

TEST_F(ShmdtTest, ByIpc) {
  const int narrow = segment();
  attach(narrow, 0x40000000);
  EXPECT_EQ(
      run({Abi::kI386, *kI386Calls.ipc, {ipc_subcall::kShmdt, 0, 0, 0, 0x40000001, 0}}, caller),
      -EINVAL);
  EXPECT_EQ(
      run({Abi::kI386, *kI386Calls.ipc, {ipc_subcall::kShmdt, 0, 0, 0, 0x40000000, 0}}, caller), 0);
  EXPECT_EQ(stat(narrow).shm_nattch, 0U);
}

}  // namespace
}  // namespace shmvisor
