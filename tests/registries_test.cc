// Registries and the SegmentFiles that they share.
#include "emulation/shm/registries.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <thread>

#include "tests/fakes/registry_changes.h"
#include "tests/fakes/shm_test.h"

namespace shmvisor {
namespace {

constexpr IpcNamespaceId kInitial = 1000;
constexpr IpcNamespaceId kOther = 1001;
constexpr key_t kKey = 7;

class RegistriesTest : public ShmTest {
 protected:
  RegistriesTest() : namespaces(host, {.shmmax = 1 << 20, .shmall = 100, .shmmni = 2}, kInitial) {}

  std::int64_t run_in(IpcNamespaceId id, const RawCall& call) {
    return answer_call(decode(call), caller, *namespaces.of(id)).value();
  }

  Registries namespaces;
};

TEST_F(RegistriesTest, EachIsMadeOnceAndKept) {
  EXPECT_EQ(namespaces.of(kInitial), namespaces.initial());
  EXPECT_FALSE(namespaces.knows(kOther));
  EXPECT_TRUE(namespaces.others().empty());
  const auto other = namespaces.of(kOther);
  EXPECT_NE(other, namespaces.initial());
  EXPECT_EQ(namespaces.of(kOther), other);
  EXPECT_TRUE(namespaces.knows(kOther));
  EXPECT_EQ(namespaces.others(), std::vector{kOther});
}

TEST_F(RegistriesTest, KeysIdentifiersAndLimitsAreTheirOwn) {
  EXPECT_EQ(run_in(kInitial, get_call(kKey, kPage, IPC_CREAT | IPC_EXCL | 0600)), 0);
  EXPECT_EQ(run_in(kOther, get_call(kKey, 0, 0)), -ENOENT);
  EXPECT_EQ(run_in(kOther, get_call(kKey, kPage, IPC_CREAT | IPC_EXCL | 0600)), 0);
  EXPECT_EQ(run_in(kOther, get_call(IPC_PRIVATE, kPage, 0600)), 1);
  EXPECT_EQ(run_in(kOther, get_call(IPC_PRIVATE, kPage, 0600)), -ENOSPC);
  EXPECT_EQ(run_in(kInitial, get_call(IPC_PRIVATE, kPage, 0600)), 1);
  set_limits(*namespaces.initial(), {.shmmax = 1, .shmall = 1, .shmmni = 1});
  EXPECT_EQ(namespaces.of(kOther)->read()->limits().shmmni, 2U);
  EXPECT_EQ(namespaces.of(kOther + 1)->read()->limits().shmmni, 2U)
      << "new ones begin as the first did";
}

// ksys_shmdt() looks at what is mapped, not at the namespace.
TEST_F(RegistriesTest, DetachFromAnotherNamespace) {
  ASSERT_EQ(run_in(kOther, get_call(kKey, kPage, IPC_CREAT | 0600)), 0);
  const std::int64_t address = run_in(kOther, at_call(0, 0, 0));
  ASSERT_GT(address, 0);
  host.now = 77;
  EXPECT_EQ(run_in(kInitial, at_call(0, 0, 0)), -EINVAL);
  EXPECT_EQ(run_in(kInitial, dt_call(static_cast<std::uint64_t>(address))), 0);
  ASSERT_EQ(run_in(kOther, ctl_call(0, IPC_STAT, kBuffer)), 0);
  EXPECT_EQ(caller.look<struct shmid_ds>().shm_dtime, 77);
}

// Whichever namespace the next call that looks at all segments is made in, what is over is over.
TEST_F(RegistriesTest, ARemovedSegmentEndsWhoeverCalls) {
  ASSERT_EQ(run_in(kOther, get_call(kKey, kPage, IPC_CREAT | 0600)), 0);
  ASSERT_GT(run_in(kOther, at_call(0, 0, 0)), 0);
  ASSERT_EQ(run_in(kOther, ctl_call(0, IPC_RMID, 0)), 0);
  caller.space().exit();
  EXPECT_EQ(host.living(), 1);
  EXPECT_EQ(run_in(kInitial, get_call(kKey, 0, 0)), -ENOENT);
  EXPECT_EQ(host.released_asked, 0) << "one that names a segment looks at that alone";
  EXPECT_EQ(run_in(kInitial, ctl_call(0, IPC_INFO, kBuffer)), 0);
  EXPECT_EQ(host.living(), 0);
}

TEST_F(RegistriesTest, ForgettingEndsItsSegments) {
  ASSERT_EQ(run_in(kOther, get_call(kKey, kPage, IPC_CREAT | 0600)), 0);
  ASSERT_EQ(run_in(kOther, get_call(IPC_PRIVATE, kPage, 0600)), 1);
  EXPECT_TRUE(namespaces.forget(kOther));
  EXPECT_FALSE(namespaces.knows(kOther));
  EXPECT_EQ(host.living(), 0);
  EXPECT_TRUE(namespaces.forget(kOther)) << "gone is gone";
  EXPECT_EQ(run_in(kOther, get_call(kKey, 0, 0)), -ENOENT) << "a new one of that number is empty";
}

TEST_F(RegistriesTest, MappedSegmentsKeepIt) {
  ASSERT_EQ(run_in(kOther, get_call(kKey, kPage, IPC_CREAT | 0600)), 0);
  const std::int64_t address = run_in(kOther, at_call(0, 0, 0));
  EXPECT_FALSE(namespaces.forget(kOther));
  EXPECT_TRUE(namespaces.knows(kOther));
  EXPECT_EQ(run_in(kInitial, dt_call(static_cast<std::uint64_t>(address))), 0);
  EXPECT_TRUE(namespaces.forget(kOther));
  EXPECT_EQ(host.living(), 0);
}

TEST_F(RegistriesTest, TheInitialOneIsNeverForgotten) {
  EXPECT_FALSE(namespaces.forget(kInitial));
  EXPECT_TRUE(namespaces.knows(kInitial));
}

// Somebody still answers a call in it.
TEST_F(RegistriesTest, AForgottenOneLivesAsLongAsItIsUsed) {
  auto used = namespaces.of(kOther);
  ASSERT_EQ(run_in(kOther, get_call(kKey, kPage, IPC_CREAT | 0600)), 0);
  EXPECT_TRUE(namespaces.forget(kOther));
  EXPECT_NE(used->read()->find_key(kKey), nullptr);
  used.reset();
  EXPECT_EQ(host.living(), 0);
}

TEST_F(RegistriesTest, NobodyWaitsForMemoryThatIsFreed) {
  namespaces.of(kOther)->set_rmid_forced(true);
  ASSERT_EQ(run_in(kOther, get_call(kKey, kPage, IPC_CREAT | 0600)), 0);
  const std::int64_t address = run_in(kOther, at_call(0, 0, 0));
  ASSERT_GT(address, 0);
  const auto asked = std::make_shared<std::promise<bool>>();
  auto answer = asked->get_future();
  bool answered = false;
  host.while_freeing_aside = [&] {
    std::thread([this, asked] { asked->set_value(namespaces.knows(kOther)); }).detach();
    answered = answer.wait_for(std::chrono::seconds(10)) == std::future_status::ready;
  };
  host.last().areas = 0;  // its process ended
  namespaces.disown(caller.thread());
  EXPECT_TRUE(answered);
  answer.wait();
}

TEST_F(RegistriesTest, FilesAreFoundWhateverTheNamespace) {
  ASSERT_EQ(run_in(kOther, get_call(kKey, kPage, IPC_CREAT | 0600)), 0);
  const FileIdentity file = host.last().identity;
  EXPECT_EQ(namespaces.files().find(file), *namespaces.of(kOther)->read()->find(0));
  EXPECT_EQ(namespaces.files().find({9, 9}), nullptr);
  ASSERT_EQ(run_in(kOther, ctl_call(0, IPC_RMID, 0)), 0);
  EXPECT_EQ(namespaces.files().find(file), nullptr);
}

}  // namespace
}  // namespace shmvisor
