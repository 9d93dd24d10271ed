// shmctl(2) as i386 has it, and as callers in namespaces of their own see it.
#include "tests/shmctl_fixture.h"

namespace shmvisor {
namespace {

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

}  // namespace
}  // namespace shmvisor
