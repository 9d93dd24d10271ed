// shmat(2), against do_shmat() of ipc/shm.c.
#include "tests/fakes/shm_test.h"
#include "tests/fakes/slow_freeing.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kSpot = 0x10'0000'0000;

class ShmatTest : public ShmTest {
 protected:
  const FakeSpace::Area& area(std::uint64_t address) {
    const auto found = caller.space().areas().find(address);
    EXPECT_NE(found, caller.space().areas().end());
    return found->second;
  }
};

TEST_F(ShmatTest, AnywhereMapsTheWholeRoundedUp) {
  const std::uint64_t address = attach(segment(5000));
  ASSERT_EQ(caller.space().requests.size(), 1U);
  const MapRequest& request = caller.space().requests[0];
  EXPECT_EQ(request.placement, Placement::kAnywhere);
  EXPECT_EQ(request.address, 0U);
  EXPECT_EQ(request.length_bytes, 2 * kPage);
  EXPECT_EQ(request.access, (Access{true, true, false}));
  EXPECT_EQ(area(address).maximum, kAnyAccess);
}

TEST_F(ShmatTest, HugePagesAreMappedWhole) {
  caller.subject().capabilities = {Capability::kIpcLock};
  const std::int64_t id = get(IPC_PRIVATE, 1, SHM_HUGETLB | 0600);
  attach(static_cast<int>(id));
  EXPECT_EQ(caller.space().requests[0].length_bytes, 2U << 20);
}

TEST_F(ShmatTest, NothingIsPopulatedUnlessTheOperatorSaysSo) {
  attach(segment());
  EXPECT_FALSE(caller.space().requests.back().populate);
}

class PopulatingShmatTest : public ShmTest {
 protected:
  PopulatingShmatTest() : ShmTest({}, {.populate_on_attach = true}) {}
};

TEST_F(PopulatingShmatTest, EveryAttachIsPopulated) {
  const int id = segment();
  EXPECT_FALSE(host.last().request.commit) << "but not at its creation";
  attach(id);
  EXPECT_TRUE(caller.space().requests.back().populate);
  attach(id, 0, SHM_RDONLY);
  EXPECT_TRUE(caller.space().requests.back().populate);
}

TEST_F(ShmatTest, TimesAndPidOfTheLastAttach) {
  const int id = segment(kPage, 0666);
  FakeCaller other(host, 815);
  host.now = 2'000'000;
  ASSERT_GT(at(other, id), 0);
  const struct shmid_ds ds = stat(id);
  EXPECT_EQ(ds.shm_atime, 2'000'000);
  EXPECT_EQ(ds.shm_dtime, 0);
  EXPECT_EQ(ds.shm_ctime, 1'000'000);
  EXPECT_EQ(ds.shm_lpid, 815);
  EXPECT_EQ(ds.shm_cpid, 4711);
  EXPECT_EQ(ds.shm_nattch, 1U);
}

TEST_F(ShmatTest, ReadOnlyCannotEverBecomeWritable) {
  const std::uint64_t address = attach(segment(), 0, SHM_RDONLY);
  EXPECT_EQ(area(address).access, (Access{true, false, false}));
  EXPECT_EQ(area(address).maximum, kReadExecute);
}

TEST_F(ShmatTest, Exec) {
  const int id = segment(kPage, 0700);
  EXPECT_EQ(area(attach(id, 0, SHM_EXEC)).access, (Access{true, true, true}));
  const std::uint64_t read_only = attach(id, 0, SHM_EXEC | SHM_RDONLY);
  EXPECT_EQ(area(read_only).access, (Access{true, false, true}));
  EXPECT_EQ(area(read_only).maximum, kReadExecute);
}

TEST_F(ShmatTest, RightsThatAnAttachNeeds) {
  struct Case {
    int mode;
    int flags;
    bool allowed;
  };
  for (const Case& one :
       {Case{0600, 0, true}, Case{0400, 0, false}, Case{0200, 0, false},
        Case{0400, SHM_RDONLY, true}, Case{0200, SHM_RDONLY, false}, Case{0600, SHM_EXEC, false},
        Case{0700, SHM_EXEC, true}, Case{0500, SHM_EXEC | SHM_RDONLY, true},
        Case{0100, SHM_EXEC | SHM_RDONLY, false}, Case{0, SHM_RDONLY, false},
        Case{0077, 0, false}}) {
    const int id = segment(kPage, one.mode);
    const std::int64_t address = at(id, 0, one.flags);
    EXPECT_EQ(address > 0, one.allowed) << std::oct << one.mode << " " << one.flags;
    if (!one.allowed) {
      EXPECT_EQ(address, -EACCES);
    }
  }
}

TEST_F(ShmatTest, OthersAndCapabilities) {
  const int id = segment(kPage, 0604);
  FakeCaller stranger(host, 1);
  stranger.subject().become(5, 5);
  EXPECT_EQ(at(stranger, id), -EACCES);
  EXPECT_GT(at(stranger, id, 0, SHM_RDONLY), 0);
  stranger.subject().capabilities = {Capability::kIpcOwner};
  EXPECT_GT(at(stranger, id), 0);
}

TEST_F(ShmatTest, AnAddressThatIsGivenIsTaken) {
  const int id = segment(2 * kPage);
  EXPECT_EQ(attach(id, kSpot), kSpot);
  EXPECT_EQ(caller.space().requests.back().placement, Placement::kExact);
  EXPECT_EQ(at(id, kSpot), -EINVAL) << "taken";
  EXPECT_EQ(at(id, kSpot + kPage), -EINVAL) << "half taken";
  EXPECT_EQ(at(id, kSpot - kPage), -EINVAL);
  EXPECT_EQ(attach(id, kSpot + 2 * kPage), kSpot + 2 * kPage) << "right behind it";
}

TEST_F(ShmatTest, RemapReplacesWhatIsThere) {
  const int id = segment(2 * kPage);
  caller.space().map_anonymous({kSpot - kPage, 4 * kPage});
  EXPECT_EQ(at(id, kSpot), -EINVAL);
  EXPECT_EQ(attach(id, kSpot, SHM_REMAP), kSpot);
  EXPECT_EQ(caller.space().requests.back().placement, Placement::kReplacing);
  EXPECT_EQ(caller.space().areas().size(), 3U);
}

// do_mmap() unmaps what was there: shm_close(), and shm_open() for each half that is left.
TEST_F(ShmatTest, RemapStampsTheSegmentsThatItTakesThePlaceOf) {
  FakeCaller other(host, 815);
  const int id = segment(kPage);
  const int over = segment(3 * kPage);
  attach(over, kSpot);
  other.space().copy_from(caller.space());
  host.now = 2'000'000;
  ASSERT_EQ(at(other, id, kSpot + 2 * kPage, SHM_REMAP),
            static_cast<std::int64_t>(kSpot + 2 * kPage));
  EXPECT_EQ(stat(over).shm_dtime, 2'000'000);
  EXPECT_EQ(stat(over).shm_atime, 2'000'000) << "its beginning became a mapping of its own";
  EXPECT_EQ(stat(over).shm_lpid, 815);
  const int whole = segment(kPage);
  attach(whole, kSpot + 0x100000);
  host.now = 3'000'000;
  attach(id, kSpot + 0x100000, SHM_REMAP);
  EXPECT_EQ(stat(whole).shm_dtime, 3'000'000);
  EXPECT_EQ(stat(whole).shm_atime, 2'000'000) << "nothing of it is left";
  EXPECT_EQ(stat(over).shm_dtime, 2'000'000);
}

TEST_F(ShmatTest, ARemapThatFailsStampsNothing) {
  const int id = segment(kPage);
  attach(id, kSpot);
  caller.space().map_error = ENOMEM;
  EXPECT_EQ(at(id, kSpot, SHM_REMAP), -ENOMEM);
  EXPECT_EQ(stat(id).shm_dtime, 0);
}

// Another thread is told of the end of what it replaces, and may be first to drop that.
TEST_F(ShmatTest, AReplacementWaitsForTheThreadThatFreesWhatItReplaces) {
  const int replaced = segment();
  attach(replaced, kSpot);
  ASSERT_EQ(ctl(replaced, IPC_RMID), 0);
  const SlowFreeing freeing(host);
  caller.space().after_mapping = [&] { files.settle(); };
  attach(segment(), kSpot, SHM_REMAP);
  ASSERT_TRUE(freeing.begun()) << "settle() was not the first";
  EXPECT_TRUE(freeing.done());
}

TEST_F(ShmatTest, RemapNeedsAnAddress) {
  const int id = segment();
  EXPECT_EQ(at(id, 0, SHM_REMAP), -EINVAL);
  EXPECT_EQ(at(id, 0, SHM_REMAP | SHM_RND), -EINVAL);
  EXPECT_EQ(at(id, 1, SHM_REMAP | SHM_RND), -EINVAL) << "rounds down to none";
  EXPECT_EQ(at(id, kPage - 1, SHM_REMAP | SHM_RND), -EINVAL);
  EXPECT_EQ(attach(id, kPage + 1, SHM_REMAP | SHM_RND), kPage);
}

TEST_F(ShmatTest, RoundingDown) {
  const int id = segment();
  EXPECT_EQ(at(id, kSpot + 1), -EINVAL);
  EXPECT_EQ(at(id, kSpot + kPage - 1), -EINVAL);
  EXPECT_EQ(attach(id, kSpot + kPage - 1, SHM_RND), kSpot);
  EXPECT_EQ(at(id, kSpot + 1, SHM_RND), -EINVAL) << "taken, once rounded";
  EXPECT_EQ(attach(id, kSpot + kPage, SHM_RND), kSpot + kPage) << "nothing to round";
}

// MAP_FIXED at 0, and no look for an overlap: `if (addr && !(shmflg & SHM_REMAP))`.
TEST_F(ShmatTest, RoundedDownToZeroItIsMappedThere) {
  const int id = segment();
  EXPECT_EQ(at(id, 1, SHM_RND), 0);
  EXPECT_EQ(caller.space().requests.back().placement, Placement::kReplacing);
  EXPECT_EQ(caller.space().requests.back().address, 0U);
}

TEST_F(ShmatTest, TheEndOfTheAddressSpaceMayNotBePassed) {
  const int id = segment(2 * kPage);
  EXPECT_EQ(at(id, UINT64_MAX - kPage + 1), -EINVAL) << "wraps";
  EXPECT_TRUE(caller.space().requests.empty()) << "nobody was asked";
  caller.space().map_error = ENOMEM;
  EXPECT_EQ(at(id, UINT64_MAX - 4 * kPage + 1), -ENOMEM) << "mmap's to refuse";
  EXPECT_EQ(at(id, UINT64_MAX - kPage + 1, SHM_REMAP), -ENOMEM) << "with REMAP no look at all";
  EXPECT_EQ(at(segment(kPage), UINT64_MAX - kPage + 1), -EINVAL) << "up to the very end";
  EXPECT_EQ(at(segment(kPage - 1), UINT64_MAX - kPage + 1), -ENOMEM) << "the size is not rounded";
}

TEST_F(ShmatTest, IdentifiersThatAreNone) {
  EXPECT_EQ(at(-1), -EINVAL);
  EXPECT_EQ(at(0), -EINVAL);
  const int id = segment();
  EXPECT_EQ(at(id + (1 << 15)), -EINVAL);
  EXPECT_EQ(at(id + 1), -EINVAL);
  ASSERT_EQ(ctl(id, IPC_RMID), 0);
  EXPECT_EQ(at(id), -EINVAL);
}

TEST_F(ShmatTest, ChecksInTheirOrder) {
  FakeCaller stranger(host, 1);
  stranger.subject().become(5, 5);
  const int id = segment();
  EXPECT_EQ(at(stranger, -1, kSpot + 1), -EINVAL);
  EXPECT_EQ(at(stranger, id + (1 << 15), kSpot + 1), -EINVAL)
      << "the address before the identifier";
  EXPECT_EQ(at(stranger, id, kSpot + 1), -EINVAL) << "and before the rights";
  stranger.space().map_anonymous({kSpot, kPage});
  EXPECT_EQ(at(stranger, id, kSpot), -EACCES) << "the rights before the overlap";
}

TEST_F(ShmatTest, ARefusedMappingChangesNothing) {
  const int id = segment();
  for (const int error : {ENOMEM, EACCES, EPERM, EINVAL}) {
    caller.space().map_error = error;
    EXPECT_EQ(at(id), -error);
  }
  const struct shmid_ds ds = stat(id);
  EXPECT_EQ(ds.shm_atime, 0);
  EXPECT_EQ(ds.shm_lpid, 0);
  EXPECT_EQ(ds.shm_nattch, 0U);
  EXPECT_FALSE(host.last().held()) << "no description is left over";
}

TEST_F(ShmatTest, LeftToTheCallerItIsDoneAtOnceAndCanBeTakenBack) {
  const int id = segment(kPage, 0666);
  ASSERT_GT(at(id), 0);
  FakeCaller other(host, 815);
  other.space().callers_complete = true;
  host.now = 2'000'000;
  for (const std::uint64_t address : {0, 0x7000'0000}) {
    Reply reply = answer_call(decode(at_call(id, address, 0)), other, registry);
    const auto undo = reply.undo();
    ASSERT_TRUE(undo);
    EXPECT_EQ(stat(id).shm_atime, 2'000'000);
    EXPECT_EQ(stat(id).shm_lpid, 815);
    undo();
    EXPECT_EQ(stat(id).shm_atime, 1'000'000);
    EXPECT_EQ(stat(id).shm_lpid, 4711);
    undo();
    EXPECT_EQ(stat(id).shm_atime, 1'000'000) << "once is enough";
  }
}

TEST_F(ShmatTest, WhatCameAfterItIsNotTakenBack) {
  const int id = segment(kPage, 0666);
  FakeCaller other(host, 815);
  other.space().callers_complete = true;
  const auto undo = answer_call(decode(at_call(id, 0, 0)), other, registry).undo();
  ASSERT_TRUE(undo);
  host.now = 3'000'000;
  ASSERT_GT(at(id), 0);
  undo();
  EXPECT_EQ(stat(id).shm_atime, 3'000'000);
  EXPECT_EQ(stat(id).shm_lpid, 4711);
}

TEST_F(ShmatTest, WhatMayHaveToBeTakenBackDoesNotKeepTheSegment) {
  const int id = segment();
  caller.space().callers_complete = true;
  const auto undo = answer_call(decode(at_call(id, 0, 0)), caller, registry).undo();
  ASSERT_EQ(ctl(id, IPC_RMID, 0), 0);
  caller.space().exit();
  registry.settle();
  EXPECT_EQ(host.living(), 0);
  undo();
}

TEST_F(ShmatTest, InAnothersPlaceNothingIsLeftToTheCaller) {
  caller.space().callers_complete = true;
  const int id = segment();
  EXPECT_FALSE(answer_call(decode(at_call(id, 0x7000'0000, SHM_REMAP)), caller, registry).undo());
}

TEST_F(ShmatTest, NoDescriptionToBeHad) {
  host.open_error = Errno(ENOMEM);
  EXPECT_EQ(at(segment()), -ENOMEM);
  EXPECT_TRUE(caller.space().requests.empty());
}

TEST_F(ShmatTest, ManyAttachesOfOneProcess) {
  const int id = segment();
  const std::uint64_t first = attach(id);
  const std::uint64_t second = attach(id);
  EXPECT_NE(first, second);
  EXPECT_EQ(stat(id).shm_nattch, 2U);
  caller.space().exit();
  EXPECT_EQ(stat(id).shm_nattch, 0U);
}

TEST_F(ShmatTest, ARemovedSegmentIsAttachedByIdentifierWhileItLives) {
  const int id = segment();
  const std::uint64_t first = attach(id);
  ASSERT_EQ(ctl(id, IPC_RMID), 0);
  const std::uint64_t second = attach(id);
  ASSERT_EQ(dt(first), 0);
  EXPECT_EQ(stat(id).shm_nattch, 1U) << "the second keeps it";
  ASSERT_EQ(dt(second), 0);
  EXPECT_EQ(at(id), -EINVAL);
  EXPECT_EQ(host.living(), 0);
}

// do_shmat(): shm_nattch++ until the mapping has failed, then shm_may_destroy().
TEST_F(ShmatTest, AFailedAttachToARemovedSegmentLetsItGo) {
  const int id = segment();
  const std::uint64_t address = attach(id);
  ASSERT_EQ(ctl(id, IPC_RMID), 0);
  caller.space().map_error = ENOMEM;
  EXPECT_EQ(at(id), -ENOMEM);
  caller.space().exit();
  EXPECT_EQ(at(id, address), -EINVAL);
  EXPECT_EQ(host.living(), 0);
}

/// ipc(2)'s shmat, which answers 0 and writes the address.
class ShmatByIpcTest : public ShmatTest {
 protected:
  std::int64_t ipc_at(int id, std::uint64_t address, int flags, std::uint64_t result) {
    return run({Abi::kI386,
                *kI386Calls.ipc,
                {21, static_cast<std::uint32_t>(id), static_cast<std::uint32_t>(flags), result,
                 address, 0}},
               caller);
  }
};

TEST_F(ShmatByIpcTest, WritesTheAddressAndAnswersZero) {
  const int id = segment();
  EXPECT_EQ(ipc_at(id, 0x40000000, 0, kBuffer), 0);
  EXPECT_EQ(caller.look<std::uint32_t>(), 0x40000000U);
  EXPECT_TRUE(caller.untouched_from(4));
}

// put_user() fails after the mapping is made, and it stays.
TEST_F(ShmatByIpcTest, ABadPointerLeavesTheMapping) {
  const int id = segment();
  EXPECT_EQ(ipc_at(id, 0x40000000, 0, kNowhere), -EFAULT);
  EXPECT_EQ(stat(id).shm_nattch, 1U);
  EXPECT_NE(stat(id).shm_atime, 0);
}

TEST_F(ShmatByIpcTest, AnErrorWritesNothing) {
  EXPECT_EQ(ipc_at(77, 0, 0, kBuffer), -EINVAL);
  EXPECT_TRUE(caller.untouched_from(0));
}

TEST_F(ShmatByIpcTest, TheSeparateCallAnswersTheAddress) {
  const int id = segment();
  EXPECT_EQ(
      run({Abi::kI386, kI386Calls.shmat, {static_cast<std::uint32_t>(id), 0x40000000, 0}}, caller),
      0x40000000);
}

}  // namespace
}  // namespace shmvisor
