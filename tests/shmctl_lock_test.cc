// shmctl(2): SHM_LOCK and SHM_UNLOCK.
#include "tests/shmctl_fixture.h"

namespace shmvisor {
namespace {

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

}  // namespace
}  // namespace shmvisor
