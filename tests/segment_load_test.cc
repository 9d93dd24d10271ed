// A segment that an operator makes: nobody sees it before it is full, and it keeps to the limits.
#include "emulation/syscalls/segment_load.h"

#include "tests/registry_fixture.h"

namespace shmvisor {
namespace {

class SegmentLoadTest : public RegistryTest {
 protected:
  static SegmentLoad::Wanted wanted(key_t key, std::uint64_t size_bytes = 5000) {
    SegmentLoad::Wanted wanted;
    wanted.key = key;
    wanted.size_bytes = size_bytes;
    wanted.mode = 0640;
    wanted.uid = 1001;
    wanted.gid = 2002;
    wanted.maker.pid = 7;
    wanted.creator = {7, 0};
    return wanted;
  }
  Errno refusal(const SegmentLoad::Wanted& which) {
    denial = {};
    const auto load = SegmentLoad::begin(owner, which, denial);
    return load ? Errno(0) : load.error();
  }

  Denial denial;
};

TEST_F(SegmentLoadTest, IsSeenOnceItIsInserted) {
  auto load = SegmentLoad::begin(owner, wanted(0x77), denial);
  ASSERT_TRUE(load);
  EXPECT_EQ(registry.read()->in_use(), 0);
  EXPECT_EQ(registry.read()->find_key(0x77), nullptr);
  EXPECT_EQ(host.last().request.name, "SYSV00000077");
  EXPECT_EQ(host.last().request.account, 1001U);
  const auto shmid = (*load)->insert(denial);
  ASSERT_TRUE(shmid);
  const auto found = registry.read()->find_key(0x77);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->id(), *shmid);
  FakeViewpoint viewpoint;
  const ShmidDs ds = registry.read()->describe(*found, viewpoint);
  EXPECT_EQ(ds.uid, 1001U);
  EXPECT_EQ(ds.cuid, 1001U);
  EXPECT_EQ(ds.cgid, 2002U);
  EXPECT_EQ(ds.mode, 0640U);
  EXPECT_EQ(ds.segsz_bytes, 5000U);
  EXPECT_EQ(ds.cpid, 7);
  EXPECT_EQ(ds.ctime, host.now);
  load->reset();
  EXPECT_FALSE(host.last().destroyed) << "it is the registry's now";
}

TEST_F(SegmentLoadTest, WhatIsNotInsertedIsFreedAside) {
  {
    const auto load = SegmentLoad::begin(owner, wanted(0x77), denial);
    ASSERT_TRUE(load);
  }
  EXPECT_TRUE(host.last().destroyed);
  EXPECT_EQ(host.freed_aside, 1);
  EXPECT_EQ(registry.read()->in_use(), 0);
}

TEST_F(SegmentLoadTest, AKeyIsTakenOnce) {
  add(0x77);
  EXPECT_EQ(refusal(wanted(0x77)), Errno(EEXIST));
  EXPECT_EQ(refusal(wanted(abi::kIpcPrivate)), Errno(0));
  auto first = SegmentLoad::begin(owner, wanted(0x78), denial);
  auto second = SegmentLoad::begin(owner, wanted(0x78), denial);
  ASSERT_TRUE(first && second);
  EXPECT_TRUE((*first)->insert(denial));
  const auto late = (*second)->insert(denial);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error(), Errno(EEXIST));
}

TEST_F(SegmentLoadTest, AKeyThatAProgramIsJustMakingIsTaken) {
  registry.write().creations().begin(0x79, 1, 0);
  EXPECT_EQ(refusal(wanted(0x79)), Errno(EEXIST));
  registry.write().creations().end(0x79, 1, 0);
  EXPECT_EQ(refusal(wanted(0x79)), Errno(0));
}

TEST_F(SegmentLoadTest, KeepsToTheLimits) {
  EXPECT_EQ(refusal(wanted(0x77, 0)), Errno(EINVAL));
  EXPECT_EQ(denial.reason, Denial::Reason::kShmmin);
  EXPECT_EQ(refusal(wanted(0x77, (1 << 30) + 1)), Errno(EINVAL));
  EXPECT_EQ(denial.reason, Denial::Reason::kShmmax);
  EXPECT_EQ(refusal(wanted(0x77, 1001 * 4096)), Errno(ENOSPC));
  EXPECT_EQ(denial.reason, Denial::Reason::kShmall);
  host.create_error = Errno(ENOMEM);
  EXPECT_EQ(refusal(wanted(0x77)), Errno(ENOMEM));
}

// It counts against nothing while it is filled, and so all is looked at again.
TEST_F(SegmentLoadTest, KeepsToTheLimitsWhenItIsInserted) {
  const auto load = SegmentLoad::begin(owner, wanted(0x77, 600 * 4096), denial);
  ASSERT_TRUE(load);
  ASSERT_NE(add(kNoKey, 600 * 4096), nullptr);
  const auto inserted = (*load)->insert(denial);
  ASSERT_FALSE(inserted);
  EXPECT_EQ(inserted.error(), Errno(ENOSPC));
  EXPECT_EQ(denial.reason, Denial::Reason::kShmall);
  for (int i = 0; i < 3; ++i) add();
  const auto another = SegmentLoad::begin(owner, wanted(0x78), denial);
  ASSERT_TRUE(another);
  const auto beyond = (*another)->insert(denial);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error(), Errno(ENOSPC));
  EXPECT_EQ(denial.reason, Denial::Reason::kShmmni);
}

}  // namespace
}  // namespace shmvisor
