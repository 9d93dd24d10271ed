// shmget(2), against ksys_shmget() and newseg() of ipc/shm.c.
#include "tests/fakes/registry_changes.h"
#include "tests/fakes/shm_test.h"

namespace shmvisor {
namespace {

constexpr key_t kKey = 0x1234abcd;
constexpr int kHugeShift = 26;  // SHM_HUGE_SHIFT of <linux/shm.h>

class ShmgetTest : public ShmTest {};

TEST_F(ShmgetTest, ANewSegmentIsWhatWasAskedFor) {
  caller.subject().become(1001, 2002);
  caller.subject().real_uid = 7;
  host.now = 123456789;
  ASSERT_EQ(get(kKey, 5000, IPC_CREAT | 0640), 0);
  const struct shmid_ds ds = stat(0);
  EXPECT_EQ(ds.shm_perm.__key, kKey);
  EXPECT_EQ(ds.shm_perm.uid, 1001U) << "the effective uid";
  EXPECT_EQ(ds.shm_perm.gid, 2002U);
  EXPECT_EQ(ds.shm_perm.cuid, 1001U);
  EXPECT_EQ(ds.shm_perm.cgid, 2002U);
  EXPECT_EQ(ds.shm_perm.mode, 0640);
  EXPECT_EQ(ds.shm_perm.__seq, 0);
  EXPECT_EQ(ds.shm_segsz, 5000U) << "not rounded";
  EXPECT_EQ(ds.shm_ctime, 123456789);
  EXPECT_EQ(ds.shm_atime, 0);
  EXPECT_EQ(ds.shm_dtime, 0);
  EXPECT_EQ(ds.shm_cpid, 4711);
  EXPECT_EQ(ds.shm_lpid, 0);
  EXPECT_EQ(ds.shm_nattch, 0U);
  EXPECT_EQ(host.last().request.name, "SYSV1234abcd");
  EXPECT_EQ(host.last().request.size_bytes, 5000U);
  EXPECT_TRUE(host.last().request.reserve);
  EXPECT_FALSE(host.last().request.huge);
}

TEST_F(ShmgetTest, NegativeKeysAreNamedInHexadecimal) {
  ASSERT_GE(get(static_cast<key_t>(0xfedcba98), 1, IPC_CREAT | 0600), 0);
  EXPECT_EQ(host.last().request.name, "SYSVfedcba98");
  ASSERT_GE(get(IPC_PRIVATE, 1, 0600), 0);
  EXPECT_EQ(host.last().request.name, "SYSV00000000");
}

// The mode is the lowest nine bits; the flags above them do not end up in it.
TEST_F(ShmgetTest, FlagsStayOutOfTheMode) {
  const std::int64_t id = get(kKey, 1, IPC_CREAT | IPC_EXCL | SHM_NORESERVE | 0x100000 | 0777);
  ASSERT_GE(id, 0);
  EXPECT_EQ(stat(static_cast<int>(id)).shm_perm.mode, 0777);
  EXPECT_FALSE(host.last().request.reserve);
}

TEST_F(ShmgetTest, PrivateNeedsNoCreatAndIsNeverShared) {
  EXPECT_EQ(get(IPC_PRIVATE, kPage, 0600), 0);
  EXPECT_EQ(get(IPC_PRIVATE, kPage, 0600), 1);
  EXPECT_EQ(get(IPC_PRIVATE, kPage, IPC_CREAT | IPC_EXCL | 0600), 2);
}

TEST_F(ShmgetTest, WithoutCreatTheKeyMustExist) {
  EXPECT_EQ(get(kKey, kPage, 0600), -ENOENT);
  EXPECT_EQ(get(kKey, 0, 0), -ENOENT) << "before any look at the size";
  EXPECT_EQ(get(kKey, kPage, IPC_EXCL | 0600), -ENOENT) << "EXCL alone means nothing";
}

TEST_F(ShmgetTest, AnExistingKeyGivesItsIdentifier) {
  ASSERT_EQ(get(IPC_PRIVATE, kPage, 0600), 0);
  ASSERT_EQ(get(kKey, 5000, IPC_CREAT | 0600), 1);
  EXPECT_EQ(get(kKey, 5000, 0600), 1);
  EXPECT_EQ(get(kKey, 5000, IPC_CREAT | 0600), 1);
  EXPECT_EQ(get(kKey, 1, 0), 1);
  EXPECT_EQ(get(kKey, 0, 0), 1) << "size 0 asks for whatever there is";
  EXPECT_EQ(get(kKey, 0, IPC_EXCL), 1);
  EXPECT_EQ(get(kKey, 5001, 0), -EINVAL) << "larger than it is, though its pages would do";
}

TEST_F(ShmgetTest, ExistingChecksInTheirOrder) {
  ASSERT_EQ(get(kKey, kPage, IPC_CREAT | 0600), 0);
  FakeCaller stranger(host);
  stranger.subject().become(5, 5);
  EXPECT_EQ(get(stranger, kKey, kPage + 1, IPC_CREAT | IPC_EXCL | 0600), -EEXIST);
  EXPECT_EQ(get(stranger, kKey, kPage + 1, IPC_CREAT | 0600), -EINVAL);
  EXPECT_EQ(get(stranger, kKey, kPage, IPC_CREAT | 0600), -EACCES);
  EXPECT_EQ(get(stranger, kKey, 0, 0004), -EACCES);
  EXPECT_EQ(get(stranger, kKey, 0, 0), 0) << "who asks for no right gets the identifier";
  stranger.subject().capabilities = {Capability::kIpcOwner};
  EXPECT_EQ(get(stranger, kKey, 0, 0666), 0);
}

TEST_F(ShmgetTest, EvenTheOwnerIsHeldToTheMode) {
  ASSERT_EQ(get(kKey, kPage, IPC_CREAT | 0400), 0);
  EXPECT_EQ(get(kKey, 0, 0400), 0);
  EXPECT_EQ(get(kKey, 0, 0600), -EACCES);
}

// newseg() looks at nothing of an existing segment's limits, nor at flags that it would refuse.
TEST_F(ShmgetTest, FlagsOfCreationDoNotMatterForAnExistingKey) {
  ASSERT_EQ(get(kKey, kPage, IPC_CREAT | 0600), 0);
  host.huge_pages.clear();
  EXPECT_EQ(get(kKey, kPage, IPC_CREAT | SHM_HUGETLB | (63 << 26) | 0600), 0);
}

TEST_F(ShmgetTest, SizesThatAreRefused) {
  EXPECT_EQ(get(IPC_PRIVATE, 0, 0600), -EINVAL);
  EXPECT_EQ(get(kKey, 0, IPC_CREAT | 0600), -EINVAL);
  EXPECT_EQ(get(IPC_PRIVATE, Limits::unlimited + 1, 0600), -EINVAL);
  EXPECT_EQ(get(IPC_PRIVATE, UINT64_MAX, 0600), -EINVAL);
  EXPECT_EQ(host.pages.size(), 0U);
  EXPECT_EQ(get(IPC_PRIVATE, 1, 0600), 0);
}

TEST_F(ShmgetTest, WhatTheHostRefusesIsAnswered) {
  for (const int error : {ENOMEM, EINVAL, ENOSPC}) {
    host.create_error = Errno(error);
    EXPECT_EQ(get(kKey, kPage, IPC_CREAT | 0600), -error);
  }
  host.create_error = Errno(0);
  EXPECT_EQ(get(kKey, 0, 0), -ENOENT) << "nothing is left of what failed";
  EXPECT_EQ(get(kKey, kPage, IPC_CREAT | 0600), 0) << "no identifier was used up";
}

TEST_F(ShmgetTest, HugePages) {
  caller.subject().capabilities = {Capability::kIpcLock};
  ASSERT_GE(get(IPC_PRIVATE, 1, SHM_HUGETLB | 0600), 0);
  EXPECT_TRUE(host.last().request.huge);
  EXPECT_EQ(host.last().request.huge_size_log2, 0U);
  EXPECT_EQ(host.last().request.huge_page_bytes, 2U << 20);
  EXPECT_TRUE(host.last().request.reserve);
  ASSERT_GE(get(IPC_PRIVATE, 1, SHM_HUGETLB | (30 << kHugeShift) | SHM_NORESERVE | 0600), 0);
  EXPECT_EQ(host.last().request.huge_size_log2, 30U);
  EXPECT_EQ(host.last().request.huge_page_bytes, 1U << 30);
  EXPECT_FALSE(host.last().request.reserve);
  EXPECT_EQ(get(IPC_PRIVATE, 1, SHM_HUGETLB | (25 << kHugeShift) | 0600), -EINVAL);
  // A size without SHM_HUGETLB is not looked at.
  ASSERT_GE(get(IPC_PRIVATE, 1, (25 << kHugeShift) | 0600), 0);
  EXPECT_FALSE(host.last().request.huge);
}

// hugetlb_file_setup(): CAP_IPC_LOCK or vm.hugetlb_shm_group; the size is looked up before.
TEST_F(ShmgetTest, HugePagesArePrivileged) {
  EXPECT_EQ(get(IPC_PRIVATE, 1, SHM_HUGETLB | 0600), -EPERM);
  EXPECT_EQ(get(IPC_PRIVATE, 1, SHM_HUGETLB | (25 << kHugeShift) | 0600), -EINVAL);
  caller.subject().groups = {host.huge_group};
  EXPECT_EQ(get(IPC_PRIVATE, 1, SHM_HUGETLB | 0600), 0);
}

TEST_F(ShmgetTest, AKeyIsFreeAfterRemoval) {
  ASSERT_EQ(get(kKey, kPage, IPC_CREAT | 0600), 0);
  ASSERT_EQ(ctl(0, IPC_RMID), 0);
  EXPECT_EQ(get(kKey, 0, 0), -ENOENT);
  EXPECT_EQ(get(kKey, kPage, IPC_CREAT | IPC_EXCL | 0600), 1) << "the next identifier";
}

TEST_F(ShmgetTest, AKeyIsFreeAfterRemovalThoughStillAttached) {
  ASSERT_EQ(get(kKey, kPage, IPC_CREAT | 0600), 0);
  attach(0);
  ASSERT_EQ(ctl(0, IPC_RMID), 0);
  EXPECT_EQ(get(kKey, 0, 0), -ENOENT);
  EXPECT_EQ(get(kKey, kPage, IPC_CREAT | IPC_EXCL | 0600), 1);
  EXPECT_EQ(get(kKey, 0, 0), 1);
}

TEST_F(ShmgetTest, ACallerThatIsGoneLeavesNothingBehind) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    run_killed(get_call(kKey, kPage, IPC_CREAT | 0600));
    EXPECT_EQ(caller.confirmed.back(), 0);
  }
  EXPECT_EQ(host.living(), 0) << "the memory went with the answer";
  EXPECT_EQ(get(kKey, 0, 0), -ENOENT);
  EXPECT_EQ(registry.read()->in_use(), 0);
  EXPECT_EQ(registry.read()->total_pages(), 0U);
  EXPECT_EQ(get(kKey, kPage, IPC_CREAT | IPC_EXCL | 0600), 0) << "and so did the identifier";
}

TEST_F(ShmgetTest, IdentifiersGoRoundAsInTheKernel) {
  for (int index = 0; index < 64; ++index) {
    ASSERT_EQ(segment(), index);
    ASSERT_EQ(ctl(index, IPC_RMID), 0);
  }
  EXPECT_EQ(segment(), 1 << 15);
  EXPECT_EQ(stat(1 << 15).shm_perm.__seq, 1);
}

class ShmgetLimitsTest : public ShmTest {
 protected:
  ShmgetLimitsTest() : ShmTest({.shmmax = 5 * 4096 + 1, .shmall = 8, .shmmni = 3}) {}
};

TEST_F(ShmgetLimitsTest, ShmmaxIsInBytes) {
  EXPECT_EQ(get(IPC_PRIVATE, 5 * kPage + 2, 0600), -EINVAL);
  EXPECT_EQ(get(IPC_PRIVATE, 5 * kPage + 1, 0600), 0);
}

TEST_F(ShmgetLimitsTest, ShmallCountsWholePages) {
  const int first = segment(5 * kPage + 1);  // 6 pages
  EXPECT_EQ(registry.read()->total_pages(), 6U);
  EXPECT_EQ(get(IPC_PRIVATE, 2 * kPage + 1, 0600), -ENOSPC);
  EXPECT_EQ(get(IPC_PRIVATE, 5 * kPage + 2, 0600), -EINVAL) << "shmmax is asked first";
  const int second = segment(2 * kPage);
  EXPECT_EQ(get(IPC_PRIVATE, 1, 0600), -ENOSPC);
  ASSERT_EQ(ctl(first, IPC_RMID), 0);
  EXPECT_EQ(registry.read()->total_pages(), 2U);
  segment(5 * kPage + 1);
  ASSERT_EQ(ctl(second, IPC_RMID), 0);
}

TEST_F(ShmgetLimitsTest, ShmallCountsRemovedSegmentsWhileMapped) {
  const int id = segment(5 * kPage + 1);
  const std::uint64_t address = attach(id);
  ASSERT_EQ(ctl(id, IPC_RMID), 0);
  EXPECT_EQ(get(IPC_PRIVATE, 5 * kPage, 0600), -ENOSPC);
  ASSERT_EQ(dt(address), 0);
  EXPECT_GE(get(IPC_PRIVATE, 5 * kPage, 0600), 0);
}

TEST_F(ShmgetLimitsTest, ShmmniCountsSegments) {
  const int first = segment(1);
  segment(1);
  segment(1);
  EXPECT_EQ(get(IPC_PRIVATE, 1, 0600), -ENOSPC);
  EXPECT_EQ(get(kKey, 1, 0600), -ENOENT);
  host.create_error = Errno(ENOMEM);
  EXPECT_EQ(get(IPC_PRIVATE, 1, 0600), -ENOMEM) << "memory comes before the identifier";
  host.create_error = Errno(0);
  ASSERT_EQ(ctl(first, IPC_RMID), 0);
  segment(1);
}

// ipc_addid() of ipc/util.c looks at shmmni first, then ipc_idr_alloc() takes the wanted
// identifier.
TEST_F(ShmgetTest, AnIdentifierThatCannotBeHadIsWantedNoMore) {
  registry.change(SetNextId{INT32_MAX});
  EXPECT_EQ(get(IPC_PRIVATE, kPage, 0600), INT32_MAX);
  registry.change(SetNextId{INT32_MAX});
  EXPECT_EQ(get(IPC_PRIVATE, kPage, 0600), -ENOSPC) << "no index above the highest";
  EXPECT_EQ(registry.read()->next_id_hint(), -1);
  EXPECT_EQ(get(IPC_PRIVATE, kPage, 0600), 0);

  registry.change(SetNextId{77});
  Limits limits = registry.read()->limits();
  limits.shmmni = 2;
  set_limits(registry, limits);
  EXPECT_EQ(get(IPC_PRIVATE, kPage, 0600), -ENOSPC);
  EXPECT_EQ(registry.read()->next_id_hint(), 77) << "nobody came to take it";
}

class ShmgetCommitTest : public ShmTest {
 protected:
  ShmgetCommitTest() : ShmTest({}, {.commit_on_create = true}) {}
};

TEST_F(ShmgetCommitTest, EverySegmentIsAllocatedAtOnce) {
  const int id = segment();
  EXPECT_TRUE(host.last().request.commit);
  segment(kPage, SHM_NORESERVE | 0600);
  EXPECT_TRUE(host.last().request.commit);
  attach(id);
  EXPECT_FALSE(caller.space().requests.back().populate) << "its pages are there";
  ASSERT_EQ(ctl(id, SHM_LOCK), 0);
  EXPECT_EQ(host.find((*registry.read()->find(id))->memory().identity())->locked, LockMode::kEager);
}

class ShmgetNothingAllowedTest : public ShmTest {
 protected:
  ShmgetNothingAllowedTest() : ShmTest({.shmmax = 0, .shmall = 0, .shmmni = 0}) {}
};

TEST_F(ShmgetNothingAllowedTest, ZeroForbidsEverySegment) {
  EXPECT_EQ(get(IPC_PRIVATE, 1, 0600), -EINVAL);
}

class ShmgetHugeSizesTest : public ShmTest {
 protected:
  ShmgetHugeSizesTest() : ShmTest({.shmmax = UINT64_MAX, .shmall = UINT64_MAX, .shmmni = 10}) {}
};

// (size + PAGE_SIZE - 1) >> PAGE_SHIFT wraps to 0 pages, which is too small for the size.
TEST_F(ShmgetHugeSizesTest, RoundingMayNotWrap) {
  EXPECT_EQ(get(IPC_PRIVATE, UINT64_MAX, 0600), -ENOSPC);
  EXPECT_EQ(get(IPC_PRIVATE, UINT64_MAX - 4094, 0600), -ENOSPC);
  EXPECT_GE(get(IPC_PRIVATE, UINT64_MAX - 4095, 0600), 0) << "the host's to refuse";
}

}  // namespace
}  // namespace shmvisor
