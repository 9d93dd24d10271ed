// shmctl(2), against ksys_shmctl() of ipc/shm.c.
#include <climits>

#include "tests/fakes/shm_test.h"

namespace shmvisor {
namespace {

constexpr key_t kKey = 0x1234abcd;

class ShmctlTest : public ShmTest {
 protected:
  ShmctlTest() : stranger(host, 815) { stranger.subject().become(5, 5); }

  static struct shmid_ds wish(uid_t uid, gid_t gid, unsigned short mode) {
    struct shmid_ds ds {};
    ds.shm_perm.uid = uid;
    ds.shm_perm.gid = gid;
    ds.shm_perm.mode = mode;
    return ds;
  }

  FakeCaller stranger;
};

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

class ShmctlLockTest : public ShmctlTest {
 protected:
  static mode_t locked(const struct shmid_ds& ds) { return ds.shm_perm.mode & SHM_LOCKED; }
};

TEST_F(ShmctlLockTest, LockAndUnlock) {
  const int id = segment();
  EXPECT_EQ(ctl(id, SHM_LOCK, kNowhere), 0);
  EXPECT_NE(locked(stat(id)), 0U);
  EXPECT_EQ(host.last().locked, LockMode::kLazy);
  EXPECT_EQ(stat(id).shm_ctime, 1'000'000);
  EXPECT_EQ(ctl(id, SHM_LOCK), 0) << "twice is once";
  EXPECT_EQ(registry.locked_pages(1000), 1U);
  EXPECT_EQ(ctl(id, SHM_UNLOCK), 0);
  EXPECT_EQ(locked(stat(id)), 0U);
  EXPECT_EQ(host.last().locked, LockMode::kNone);
  EXPECT_EQ(ctl(id, SHM_UNLOCK), 0) << "also when it is not locked";
  EXPECT_EQ(registry.locked_pages(1000), 0U);
}

TEST_F(ShmctlLockTest, ForOwnerCreatorAndIpcLock) {
  const int id = segment(kPage, 0666);
  EXPECT_EQ(ctl(stranger, id, SHM_LOCK), -EPERM);
  EXPECT_EQ(ctl(stranger, id, SHM_UNLOCK), -EPERM);
  stranger.subject().capabilities = {Capability::kSysAdmin, Capability::kIpcOwner};
  EXPECT_EQ(ctl(stranger, id, SHM_LOCK), -EPERM);
  stranger.subject().capabilities = {Capability::kIpcLock};
  EXPECT_EQ(ctl(stranger, id, SHM_LOCK), 0);
  EXPECT_EQ(registry.locked_pages(5), 1U) << "charged to whoever locks";
  EXPECT_EQ(ctl(id, SHM_UNLOCK), 0) << "and given back to him";
  EXPECT_EQ(registry.locked_pages(5), 0U);
}

TEST_F(ShmctlLockTest, NoLimitNoLocking) {
  const int id = segment();
  caller.memlock_bytes = 0;
  EXPECT_EQ(ctl(id, SHM_LOCK), -EPERM);
  EXPECT_EQ(ctl(stranger, id, SHM_LOCK), -EPERM);
  EXPECT_EQ(ctl(id, SHM_UNLOCK), 0) << "no limit is needed for letting go";
  caller.subject().capabilities = {Capability::kIpcLock};
  EXPECT_EQ(ctl(id, SHM_LOCK), 0);
}

TEST_F(ShmctlLockTest, TheLimitIsPerUserInWholePages) {
  caller.memlock_bytes = 3 * kPage + 4095;
  const int two = segment(kPage + 1);
  const int also_two = segment(2 * kPage);
  const int one = segment(1);
  EXPECT_EQ(ctl(two, SHM_LOCK), 0);
  EXPECT_EQ(ctl(also_two, SHM_LOCK), -ENOMEM);
  EXPECT_EQ(locked(stat(also_two)), 0U);
  EXPECT_EQ(ctl(one, SHM_LOCK), 0);
  EXPECT_EQ(ctl(two, SHM_LOCK), 0) << "what is locked costs nothing more";
  EXPECT_EQ(ctl(two, SHM_UNLOCK), 0);
  EXPECT_EQ(ctl(also_two, SHM_LOCK), 0);
  caller.memlock_bytes = UINT64_MAX;
  EXPECT_EQ(ctl(two, SHM_LOCK), 0);
  EXPECT_EQ(registry.locked_pages(1000), 5U);
}

TEST_F(ShmctlLockTest, AnotherUserHasAnAccountOfItsOwn) {
  caller.memlock_bytes = kPage;
  ASSERT_EQ(ctl(segment(), SHM_LOCK), 0);
  stranger.memlock_bytes = kPage;
  const std::int64_t id = get(stranger, IPC_PRIVATE, kPage, 0600);
  EXPECT_EQ(ctl(stranger, static_cast<int>(id), SHM_LOCK), 0);
}

// current_ucounts() belongs to the real uid, the right to the effective one.
TEST_F(ShmctlLockTest, TheRealUidPays) {
  const int id = segment();
  caller.subject().real_uid = 33;
  ASSERT_EQ(ctl(id, SHM_LOCK), 0);
  EXPECT_EQ(registry.locked_pages(33), 1U);
  EXPECT_EQ(registry.locked_pages(1000), 0U);
}

TEST_F(ShmctlLockTest, IpcLockMayPassTheLimit) {
  caller.memlock_bytes = kPage;
  const int id = segment(10 * kPage);
  EXPECT_EQ(ctl(id, SHM_LOCK), -ENOMEM);
  caller.subject().capabilities = {Capability::kIpcLock};
  EXPECT_EQ(ctl(id, SHM_LOCK), 0);
}

TEST_F(ShmctlLockTest, HugePagesAreNeverMarked) {
  caller.subject().capabilities = {Capability::kIpcLock};
  ASSERT_EQ(get(IPC_PRIVATE, 1, SHM_HUGETLB | 0600), 0);
  EXPECT_EQ(ctl(0, SHM_LOCK), 0);
  EXPECT_EQ(locked(stat(0)), 0U);
  EXPECT_EQ(ctl(0, SHM_UNLOCK), 0);
  EXPECT_EQ(registry.locked_pages(1000), 0U);
}

TEST_F(ShmctlLockTest, TheEndOfASegmentGivesItsPagesBack) {
  const int id = segment(3 * kPage);
  ASSERT_EQ(ctl(id, SHM_LOCK), 0);
  attach(id);
  ASSERT_EQ(ctl(id, IPC_RMID), 0);
  EXPECT_EQ(stat(id).shm_perm.mode, 03600);
  EXPECT_EQ(registry.locked_pages(1000), 3U);
  caller.space().exit();
  EXPECT_EQ(ctl(id, IPC_STAT), -EINVAL);
  EXPECT_EQ(registry.locked_pages(1000), 0U);
}

TEST_F(ShmctlLockTest, OfAnAnswerThatNobodyGot) {
  const int id = segment();
  run_killed(ctl_call(id, SHM_LOCK, 0));
  EXPECT_EQ(locked(stat(id)), 0U);
  EXPECT_EQ(registry.locked_pages(1000), 0U);
  EXPECT_EQ(host.last().locked, LockMode::kNone);
}

/// 32-bit callers, by the separate calls and by ipc(2).
class ShmctlI386Test : public ShmctlTest {
 protected:
  std::int64_t separate(int id, int command, std::uint64_t buffer = kBuffer) {
    return run({Abi::kI386,
                kI386Calls.shmctl,
                {static_cast<std::uint32_t>(id), static_cast<std::uint32_t>(command), buffer}},
               caller);
  }
  std::int64_t by_ipc(int id, int command, std::uint64_t buffer = kBuffer) {
    return run(
        {Abi::kI386,
         *kI386Calls.ipc,
         {24, static_cast<std::uint32_t>(id), static_cast<std::uint32_t>(command), 0, buffer, 0}},
        caller);
  }
};

TEST_F(ShmctlI386Test, EachFormWritesItsOwnLayout) {
  const int id = segment(123);
  const auto size_of = [&](auto call) {
    caller.buffer.fill(std::byte{0xa5});
    EXPECT_GE(call(), 0);
    std::size_t size = FakeCaller::kBufferBytes;
    while (size > 0 && caller.untouched_from(size - 1)) --size;
    return size;
  };
  EXPECT_EQ(size_of([&] { return separate(id, IPC_STAT); }), 84U);
  EXPECT_EQ(size_of([&] { return by_ipc(id, IPC_STAT | 0x100); }), 84U);
  EXPECT_EQ(size_of([&] { return by_ipc(id, IPC_STAT); }), 48U);
  EXPECT_EQ(size_of([&] { return by_ipc(id, SHM_STAT); }), 48U);
  EXPECT_EQ(size_of([&] { return separate(id, IPC_INFO); }), 36U);
  EXPECT_EQ(size_of([&] { return by_ipc(id, IPC_INFO | 0x100); }), 36U);
  EXPECT_EQ(size_of([&] { return by_ipc(id, IPC_INFO); }), 20U);
  EXPECT_EQ(size_of([&] { return by_ipc(id, SHM_INFO | 0x100); }), 24U);
  EXPECT_EQ(size_of([&] { return by_ipc(id, SHM_INFO); }), 24U);
}

TEST_F(ShmctlI386Test, TheSeparateCallKnowsNoVersionBit) {
  EXPECT_EQ(separate(segment(), IPC_STAT | 0x100), -EINVAL);
}

TEST_F(ShmctlI386Test, SetReadsItsOwnLayout) {
  const int id = segment();
  std::array<std::uint32_t, 9> wide{0, 0x10001, 0x10002, 0, 0, 0640, 0, 0, 0};
  caller.put(wide);
  EXPECT_EQ(separate(id, IPC_SET), 0);
  EXPECT_EQ(stat(id).shm_perm.uid, 0x10001U);
  EXPECT_EQ(stat(id).shm_perm.gid, 0x10002U);
  EXPECT_EQ(stat(id).shm_perm.mode, 0640);
  std::array<std::uint16_t, 8> old{0, 0, 7, 8, 0, 0, 0444, 0};
  caller.put(old);
  EXPECT_EQ(by_ipc(id, IPC_SET), 0);
  EXPECT_EQ(stat(id).shm_perm.uid, 7U);
  EXPECT_EQ(stat(id).shm_perm.gid, 8U);
  EXPECT_EQ(stat(id).shm_perm.mode, 0444);
  // 16 bytes are all that is read.
  const std::uint64_t last = kBuffer + FakeCaller::kBufferBytes - 16;
  EXPECT_EQ(by_ipc(id, IPC_SET, last), 0);
  EXPECT_EQ(by_ipc(id, IPC_SET, last + 1), -EFAULT);
}

TEST_F(ShmctlI386Test, RmidNeedsNoBuffer) {
  EXPECT_EQ(by_ipc(segment(), IPC_RMID, 0), 0);
  EXPECT_EQ(by_ipc(segment(), IPC_RMID | 0x100, 0), 0);
  EXPECT_EQ(separate(segment(), IPC_RMID, 0), 0);
  EXPECT_EQ(registry.read()->in_use(), 0);
}

// from_kuid_munged(), pid_vnr() and make_kuid(): ids are shown and meant in the caller's
// namespaces.
class ShmctlViewpointTest : public ShmctlTest {
 protected:
  ShmctlViewpointTest() : id_(segment(kPage, 0666)) {
    // Ids 1000 to 1009 are 0 to 9 inside.
    stranger.viewpoint().id_offset = 1000;
    stranger.viewpoint().id_count = 10;
  }

  const int id_;
};

TEST_F(ShmctlViewpointTest, IdsAreShownAsTheCallerSeesThem) {
  caller.put(wish(1003, 77, 0666));
  ASSERT_EQ(ctl(id_, IPC_SET), 0);
  for (const int command : {IPC_STAT, SHM_STAT, SHM_STAT_ANY}) {
    ASSERT_GE(ctl(stranger, id_, command), 0);
    const auto ds = stranger.look<struct shmid_ds>();
    EXPECT_EQ(ds.shm_perm.cuid, 0U);
    EXPECT_EQ(ds.shm_perm.cgid, 0U);
    EXPECT_EQ(ds.shm_perm.uid, 3U);
    EXPECT_EQ(ds.shm_perm.gid, FakeViewpoint::kOverflowId) << "it has no number inside";
  }
}

TEST_F(ShmctlViewpointTest, IdsAreMeantAsTheCallerSeesThem) {
  stranger.subject().effective_uid = 1000;
  stranger.put(wish(4, 5, 0600));
  EXPECT_EQ(ctl(stranger, id_, IPC_SET), 0);
  EXPECT_EQ(stat(id_).shm_perm.uid, 1004U);
  EXPECT_EQ(stat(id_).shm_perm.gid, 1005U);
  for (const auto& unmapped : {wish(10, 5, 0600), wish(4, 10, 0600), wish(uid_t(-1), 5, 0600)}) {
    stranger.put(unmapped);
    EXPECT_EQ(ctl(stranger, id_, IPC_SET), -EINVAL);
  }
  EXPECT_EQ(stat(id_).shm_perm.uid, 1004U);
}

TEST_F(ShmctlViewpointTest, ProcessesAreShownAsTheCallerSeesThem) {
  stranger.viewpoint().pid_namespace = 42;
  ASSERT_EQ(ctl(stranger, id_, IPC_STAT), 0);
  EXPECT_EQ(stranger.look<struct shmid_ds>().shm_cpid, 0) << "a process outside is nobody";
  FakeCaller inside(host, 4713);
  inside.process_record.inner = std::make_shared<const std::vector<PidRecord::Inner>>(
      std::vector<PidRecord::Inner>{{42, 3}, {41, 30}});
  ASSERT_GT(at(inside, id_), 0);
  ASSERT_EQ(ctl(stranger, id_, IPC_STAT), 0);
  EXPECT_EQ(stranger.look<struct shmid_ds>().shm_lpid, 3);
  EXPECT_EQ(stat(id_).shm_lpid, 4713) << "from outside it has its number there";
}

TEST_F(ShmctlTest, WhatIsNotOursIsEnosys) {
  EXPECT_EQ(run(raw(28), caller), -ENOSYS);
  EXPECT_EQ(host.released_asked, 0);
}

}  // namespace
}  // namespace shmvisor
