// shmctl(2), against ksys_shmctl() of ipc/shm.c.
#include <climits>

#include "tests/shmctl_fixture.h"

namespace shmvisor {
namespace {

constexpr int kCommands[] = {IPC_RMID,   IPC_SET,  IPC_STAT, IPC_INFO,    SHM_LOCK,
                             SHM_UNLOCK, SHM_STAT, SHM_INFO, SHM_STAT_ANY};

TEST_F(ShmctlTest, CommandsThatAreNone) {
  const int id = segment();
  for (const int command : {-1, INT_MIN, 4, 10, 16, 0x100, 0x102, INT_MAX}) {
    EXPECT_EQ(ctl(id, command), -EINVAL) << command;
  }
  EXPECT_EQ(registry.read()->in_use(), 1);
  EXPECT_TRUE(caller.untouched_from(0));
}

TEST_F(ShmctlTest, NegativeIdentifiersAreRefusedByEveryCommand) {
  segment();
  for (const int command : kCommands) {
    EXPECT_EQ(ctl(-1, command), -EINVAL) << command;
    EXPECT_EQ(ctl(INT_MIN, command), -EINVAL) << command;
  }
}

TEST_F(ShmctlTest, IdentifiersThatAreGone) {
  const int id = segment();
  for (const int command : {IPC_RMID, IPC_SET, IPC_STAT, SHM_LOCK, SHM_UNLOCK}) {
    EXPECT_EQ(ctl(id + (1 << 15), command), -EINVAL) << command;
    EXPECT_EQ(ctl(id + 1, command), -EINVAL) << command;
  }
  EXPECT_EQ(registry.read()->in_use(), 1);
}

TEST_F(ShmctlTest, StatFillsTheWholeStruct) {
  const int id = segment(123, 0640);
  EXPECT_EQ(ctl(id, IPC_STAT), 0);
  EXPECT_TRUE(caller.untouched_from(sizeof(struct shmid_ds)));
  EXPECT_EQ(caller.look<struct shmid_ds>().shm_segsz, 123U);
}

TEST_F(ShmctlTest, StatNeedsTheRightToRead) {
  const int id = segment(kPage, 0640);
  EXPECT_EQ(ctl(stranger, id, IPC_STAT), -EACCES);
  EXPECT_EQ(ctl(stranger, id, SHM_STAT), -EACCES);
  EXPECT_EQ(ctl(stranger, id, SHM_STAT_ANY), id);
  EXPECT_EQ(ctl(stranger, id, IPC_STAT, kNowhere), -EACCES) << "before the copy";
  stranger.subject().groups = {1000};
  EXPECT_EQ(ctl(stranger, id, IPC_STAT), 0);
  const int unreadable = segment(kPage, 0200);
  EXPECT_EQ(ctl(unreadable, IPC_STAT), -EACCES) << "the owner, too";
  EXPECT_EQ(ctl(unreadable, SHM_STAT_ANY), unreadable);
  caller.subject().capabilities = {Capability::kIpcOwner};
  EXPECT_EQ(ctl(unreadable, IPC_STAT), 0);
}

TEST_F(ShmctlTest, StatIntoBadMemory) {
  const int id = segment();
  EXPECT_EQ(ctl(id, IPC_STAT, kNowhere), -EFAULT);
  EXPECT_EQ(ctl(id, IPC_STAT, 0), -EFAULT);
  EXPECT_EQ(ctl(id, SHM_STAT, kNowhere), -EFAULT);
  EXPECT_EQ(ctl(id, SHM_STAT_ANY, kNowhere), -EFAULT);
  EXPECT_EQ(ctl(id + 1, IPC_STAT, kNowhere), -EINVAL) << "the identifier before the copy";
  // One byte too few.
  EXPECT_EQ(ctl(id, IPC_STAT, kBuffer + FakeCaller::kBufferBytes - 111), -EFAULT);
  EXPECT_EQ(ctl(id, IPC_STAT, kBuffer + FakeCaller::kBufferBytes - 112), 0);
}

TEST_F(ShmctlTest, ShmStatTakesAnIndexAndGivesTheIdentifier) {
  for (int index = 0; index < 64; ++index) ASSERT_EQ(ctl(segment(), IPC_RMID), 0);
  const int id = segment(77);
  ASSERT_EQ(id, 1 << 15);
  EXPECT_EQ(ctl(0, SHM_STAT), id);
  EXPECT_EQ(caller.look<struct shmid_ds>().shm_segsz, 77U);
  EXPECT_EQ(ctl(5 << 15, SHM_STAT), id) << "whatever sequence number";
  EXPECT_EQ(ctl(0, SHM_STAT_ANY), id);
  EXPECT_EQ(ctl(1, SHM_STAT), -EINVAL);
  EXPECT_EQ(ctl(32767, SHM_STAT_ANY), -EINVAL);
  EXPECT_EQ(ctl(0, IPC_STAT), -EINVAL) << "IPC_STAT wants the identifier";
}

TEST_F(ShmctlTest, AttachesAreCountedOnlyWhenThereAreAny) {
  const int id = segment();
  EXPECT_EQ(stat(id).shm_nattch, 0U);
  EXPECT_EQ(host.counted, 0) << "the memory said already that nobody holds it";
  attach(id);
  EXPECT_EQ(stat(id).shm_nattch, 1U);
  EXPECT_EQ(host.counted, 1);
}

TEST_F(ShmctlTest, SetChangesOwnerGroupAndMode) {
  const int id = segment(kPage, 0600);
  host.now = 4'000'000;
  caller.put(wish(2001, 2002, 0440));
  EXPECT_EQ(ctl(id, IPC_SET), 0);
  const struct shmid_ds ds = stat(id);
  EXPECT_EQ(ds.shm_perm.uid, 2001U);
  EXPECT_EQ(ds.shm_perm.gid, 2002U);
  EXPECT_EQ(ds.shm_perm.cuid, 1000U);
  EXPECT_EQ(ds.shm_perm.cgid, 1000U);
  EXPECT_EQ(ds.shm_perm.mode, 0440);
  EXPECT_EQ(ds.shm_ctime, 4'000'000);
  EXPECT_EQ(ds.shm_atime, 0);
}

TEST_F(ShmctlTest, SetTakesTheNinePermissionBitsAlone) {
  const int id = segment(kPage, 0600);
  caller.subject().capabilities = {Capability::kIpcLock};
  ASSERT_EQ(ctl(id, SHM_LOCK), 0);
  caller.put(wish(1000, 1000, 0177777 & ~02000));
  EXPECT_EQ(ctl(id, IPC_SET), 0);
  EXPECT_EQ(stat(id).shm_perm.mode, 02777) << "no SHM_DEST by IPC_SET, and SHM_LOCKED stays";
}

TEST_F(ShmctlTest, SetIgnoresEverythingElseInTheStruct) {
  const int id = segment(100, 0600);
  struct shmid_ds ds = wish(1000, 1000, 0600);
  ds.shm_segsz = 5;
  ds.shm_perm.__key = 99;
  ds.shm_perm.cuid = 98;
  ds.shm_atime = 97;
  ds.shm_nattch = 96;
  caller.put(ds);
  ASSERT_EQ(ctl(id, IPC_SET), 0);
  const struct shmid_ds now = stat(id);
  EXPECT_EQ(now.shm_segsz, 100U);
  EXPECT_EQ(now.shm_perm.__key, 0);
  EXPECT_EQ(now.shm_perm.cuid, 1000U);
  EXPECT_EQ(now.shm_atime, 0);
  EXPECT_EQ(now.shm_nattch, 0U);
}

TEST_F(ShmctlTest, SetChecksInTheirOrder) {
  const int id = segment(kPage, 0666);
  EXPECT_EQ(ctl(stranger, id + 1, IPC_SET, kNowhere), -EFAULT) << "the copy comes first";
  EXPECT_EQ(ctl(stranger, -1, IPC_SET, kNowhere), -EINVAL) << "but for a negative identifier";
  stranger.put(wish(uid_t(-1), 5, 0600));
  EXPECT_EQ(ctl(stranger, id + 1, IPC_SET), -EINVAL);
  EXPECT_EQ(ctl(stranger, id + (1 << 15), IPC_SET), -EINVAL);
  EXPECT_EQ(ctl(stranger, id, IPC_SET), -EPERM) << "the right before the ids";
  caller.put(wish(uid_t(-1), 5, 0600));
  EXPECT_EQ(ctl(id, IPC_SET), -EINVAL);
  caller.put(wish(5, gid_t(-1), 0600));
  EXPECT_EQ(ctl(id, IPC_SET), -EINVAL);
  EXPECT_EQ(stat(id).shm_perm.uid, 1000U);
  EXPECT_EQ(stat(id).shm_ctime, 1'000'000);
}

TEST_F(ShmctlTest, SetAndRmidAreForOwnerCreatorAndSysAdmin) {
  const int id = segment(kPage, 0666);
  stranger.subject().capabilities = {Capability::kIpcOwner, Capability::kIpcLock};
  stranger.put(wish(5, 5, 0600));
  EXPECT_EQ(ctl(stranger, id, IPC_SET), -EPERM);
  EXPECT_EQ(ctl(stranger, id, IPC_RMID), -EPERM);
  caller.put(wish(5, 5, 0));
  ASSERT_EQ(ctl(id, IPC_SET), 0);
  EXPECT_EQ(ctl(id, IPC_SET), 0) << "the creator keeps the right, whatever the mode";
  stranger.put(wish(6, 6, 0));
  EXPECT_EQ(ctl(stranger, id, IPC_SET), 0) << "the new owner has it";
  EXPECT_EQ(ctl(stranger, id, IPC_SET), -EPERM) << "and has given it away";
  stranger.subject().capabilities = {Capability::kSysAdmin};
  EXPECT_EQ(ctl(stranger, id, IPC_RMID), 0);
}

TEST_F(ShmctlTest, SetOfAnAnswerThatNobodyGot) {
  const int id = segment(kPage, 0600);
  caller.put(wish(5, 5, 0));
  run_killed(ctl_call(id, IPC_SET, kBuffer));
  EXPECT_EQ(stat(id).shm_perm.uid, 1000U);
  EXPECT_EQ(stat(id).shm_perm.mode, 0600);
}

TEST_F(ShmctlTest, RmidOfASegmentNobodyMaps) {
  ASSERT_EQ(get(kKey, kPage, IPC_CREAT | 0600), 0);
  EXPECT_EQ(ctl(0, IPC_RMID, kNowhere), 0) << "the buffer is not looked at";
  EXPECT_EQ(host.living(), 0);
  EXPECT_EQ(ctl(0, IPC_RMID), -EINVAL);
  EXPECT_EQ(ctl(0, SHM_STAT), -EINVAL);
}

TEST_F(ShmctlTest, RmidOfAMappedSegmentMarksIt) {
  ASSERT_EQ(get(kKey, kPage, IPC_CREAT | 0640), 0);
  attach(0);
  host.now = 5'000'000;
  ASSERT_EQ(ctl(0, IPC_RMID), 0);
  const struct shmid_ds ds = stat(0);
  EXPECT_EQ(ds.shm_perm.mode, 01640);
  EXPECT_EQ(ds.shm_perm.__key, IPC_PRIVATE);
  EXPECT_EQ(ds.shm_ctime, 1'000'000) << "removal is no change that ctime tells";
  EXPECT_EQ(ctl(0, IPC_RMID), 0) << "again is no error";
  caller.put(wish(1000, 1000, 0600));
  EXPECT_EQ(ctl(0, IPC_SET), 0);
  EXPECT_EQ(stat(0).shm_perm.mode, 01600);
}

TEST_F(ShmctlTest, RmidOfAnAnswerThatNobodyGot) {
  ASSERT_EQ(get(kKey, kPage, IPC_CREAT | 0600), 0);
  run_killed(ctl_call(0, IPC_RMID, 0));
  EXPECT_EQ(get(kKey, 0, 0), 0);
  attach(0);
  run_killed(ctl_call(0, IPC_RMID, 0));
  EXPECT_EQ(stat(0).shm_perm.mode, 0600);
}

TEST_F(ShmctlTest, ExitOfTheLastProcessEndsARemovedSegment) {
  const int id = segment();
  attach(id);
  FakeCaller child(host, 4712);
  child.space().copy_from(caller.space());
  ASSERT_EQ(ctl(id, IPC_RMID), 0);
  caller.space().exit();
  EXPECT_EQ(stat(id).shm_nattch, 1U);
  child.space().exit();
  EXPECT_EQ(ctl(id, IPC_STAT), -EINVAL);
  EXPECT_EQ(host.living(), 0);
  EXPECT_TRUE(host.watched.empty());
}

TEST_F(ShmctlTest, IpcInfo) {
  EXPECT_EQ(ctl(0, IPC_INFO), 0) << "0 where there is no segment";
  const auto info = caller.look<struct shminfo>();
  EXPECT_EQ(info.shmmax, ULONG_MAX - (1UL << 24));
  EXPECT_EQ(info.shmmin, 1U);
  EXPECT_EQ(info.shmmni, 4096U);
  EXPECT_EQ(info.shmseg, 4096U);
  EXPECT_EQ(info.shmall, ULONG_MAX - (1UL << 24));
  EXPECT_TRUE(caller.untouched_from(sizeof(struct shminfo)));
  segment();
  EXPECT_EQ(ctl(77777, IPC_INFO), 0) << "the identifier is not looked at; the highest index is 0";
  segment();
  EXPECT_EQ(ctl(0, IPC_INFO), 1);
  EXPECT_EQ(ctl(stranger, 0, IPC_INFO), 1) << "for everybody";
  EXPECT_EQ(ctl(0, IPC_INFO, kNowhere), -EFAULT);
}

TEST_F(ShmctlTest, ShmInfo) {
  EXPECT_EQ(ctl(0, SHM_INFO), 0);
  const int first = segment(5000);
  host.last().usage = {2, 1};
  const int second = segment(1);
  host.last().usage = {1, 0};
  EXPECT_EQ(ctl(0, SHM_INFO), 1);
  auto info = caller.look<struct shm_info>();
  EXPECT_EQ(info.used_ids, 2);
  EXPECT_EQ(info.shm_tot, 3U);
  EXPECT_EQ(info.shm_rss, 3U);
  EXPECT_EQ(info.shm_swp, 1U);
  EXPECT_TRUE(caller.untouched_from(sizeof(struct shm_info)));
  ASSERT_EQ(ctl(first, IPC_RMID), 0);
  EXPECT_EQ(ctl(0, SHM_INFO), second) << "the highest index, not the number";
  info = caller.look<struct shm_info>();
  EXPECT_EQ(info.used_ids, 1);
  EXPECT_EQ(info.shm_tot, 1U);
  EXPECT_EQ(info.shm_rss, 1U);
  EXPECT_EQ(ctl(0, SHM_INFO, kNowhere), -EFAULT);
}

// Pages of 4096 bytes of the size asked for, whatever the pages are: shm_tot of newseg().
TEST_F(ShmctlTest, ShmInfoOfHugePages) {
  caller.subject().capabilities = {Capability::kIpcLock};
  ASSERT_EQ(get(IPC_PRIVATE, 5000, SHM_HUGETLB | 0600), 0);
  EXPECT_EQ(ctl(0, SHM_INFO), 0);
  EXPECT_EQ(caller.look<struct shm_info>().shm_tot, 2U);
}

TEST_F(ShmctlTest, WhatIsNotOursIsEnosys) {
  EXPECT_EQ(run(raw(28), caller), -ENOSYS);
  EXPECT_EQ(host.released_asked, 0);
}

}  // namespace
}  // namespace shmvisor
