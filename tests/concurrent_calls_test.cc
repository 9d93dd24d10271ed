// What one caller sees while another one's call takes long.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>

#include "tests/fakes/registry_changes.h"
#include "tests/fakes/shm_test.h"

namespace shmvisor {
namespace {

/// What a call on another thread answers. One that waits for a lock for ever can only end the whole
/// program.
std::int64_t answer_of(std::future<std::int64_t>& call) {
  if (call.wait_for(std::chrono::seconds(30)) == std::future_status::ready) return call.get();
  std::fputs("another caller waits\n", stderr);
  std::abort();
}

class ConcurrentCallsTest : public ShmTest {
 protected:
  ConcurrentCallsTest() : other(host, 4712) {
    other.on_long_step = [this] { waiting.set_value(); };
  }

  /// By the other caller, on a thread of its own.
  std::future<std::int64_t> start(const RawCall& call) {
    return std::async(std::launch::async, [this, call] { return run(call, other); });
  }
  std::int64_t run_aside(const RawCall& call) {
    auto started = start(call);
    return answer_of(started);
  }
  /// Lets the other caller go as far as it can without us: it says that it may take long.
  void wait_until_it_waits() {
    if (waiting.get_future().wait_for(std::chrono::seconds(30)) == std::future_status::ready) {
      return;
    }
    std::fputs("the other caller does not wait\n", stderr);
    std::abort();
  }

  FakeCaller other;
  std::promise<void> waiting;
};

TEST_F(ConcurrentCallsTest, WhileMemoryIsMadeOthersLookAndAttach) {
  const auto id = static_cast<int>(get(1, kPage, IPC_CREAT | 0666));
  host.while_making = [&] {
    EXPECT_EQ(run_aside(get_call(1, kPage, 0)), id);
    EXPECT_EQ(run_aside(get_call(2, kPage, 0)), -ENOENT) << "not before its creator has it";
    EXPECT_EQ(run_aside(ctl_call(id, IPC_STAT, kBuffer)), 0);
    EXPECT_GT(run_aside(at_call(id, 0, 0)), 0);
    EXPECT_EQ(run_aside(ctl_call(id, IPC_RMID, 0)), 0);
  };
  const auto made = get(2, kPage, IPC_CREAT | 0666);
  host.while_making = [] {};
  EXPECT_GE(made, 0);
  EXPECT_EQ(get(2, kPage, 0), made);
}

TEST_F(ConcurrentCallsTest, WhileMappingsAreCountedOthersDoAnything) {
  const auto id = static_cast<int>(get(1, kPage, IPC_CREAT | 0666));
  const int goes = segment(kPage, 0666);
  attach(id);
  bool said = false;
  caller.on_long_step = [&said] { said = true; };
  host.while_counting = [&] {
    EXPECT_TRUE(said) << "or nobody would receive the others' calls";
    EXPECT_EQ(run_aside(get_call(1, kPage, 0)), id);
    EXPECT_GE(run_aside(get_call(2, kPage, IPC_CREAT | 0600)), 0);
    EXPECT_EQ(run_aside(ctl_call(goes, IPC_STAT, kBuffer)), 0);
    EXPECT_GT(run_aside(at_call(id, 0, 0)), 0);
  };
  EXPECT_EQ(ctl(id, IPC_STAT), 0);
  host.while_counting = [] {};
  EXPECT_TRUE(said);
}

TEST_F(ConcurrentCallsTest, BeforeAShortCountOnlyCallsThatWaitGoAhead) {
  const auto id = static_cast<int>(get(1, kPage, IPC_CREAT | 0666));
  attach(id);
  int long_steps = 0;
  int short_steps = 0;
  caller.on_long_step = [&long_steps] { ++long_steps; };
  caller.on_short_step = [&short_steps] { ++short_steps; };
  host.counts_take_long = false;
  EXPECT_EQ(ctl(id, IPC_STAT), 0);
  EXPECT_EQ(short_steps, 1);
  EXPECT_EQ(long_steps, 0);
}

TEST_F(ConcurrentCallsTest, WhoCreatesTheSameKeyGetsTheFirstOnesSegment) {
  std::future<std::int64_t> second;
  host.while_making = [&] {
    host.while_making = [] {};
    second = start(get_call(1, kPage, IPC_CREAT | 0666));
    wait_until_it_waits();
  };
  const auto first = get(1, kPage, IPC_CREAT | 0666);
  EXPECT_GE(first, 0);
  EXPECT_EQ(answer_of(second), first);
  EXPECT_EQ(host.pages.size(), 1U) << "a pool of huge pages may have had room for one only";
}

TEST_F(ConcurrentCallsTest, WhoWantsANewOneOfTheSameKeyIsRefused) {
  std::future<std::int64_t> second;
  host.while_making = [&] {
    host.while_making = [] {};
    second = start(get_call(1, kPage, IPC_CREAT | IPC_EXCL | 0666));
    wait_until_it_waits();
  };
  EXPECT_GE(get(1, kPage, IPC_CREAT | 0666), 0);
  EXPECT_EQ(answer_of(second), -EEXIST);
}

TEST_F(ConcurrentCallsTest, WhoComesSecondCreatesWhereTheFirstOneFails) {
  std::future<std::int64_t> second;
  host.while_making = [&] {
    host.while_making = [this] { host.create_error = Errno(0); };
    second = start(get_call(1, kPage, IPC_CREAT | 0666));
    wait_until_it_waits();
    host.create_error = Errno(ENOMEM);
  };
  EXPECT_EQ(get(1, kPage, IPC_CREAT | 0666), -ENOMEM);
  EXPECT_GE(answer_of(second), 0);
}

// Another key's, or none: as newseg() would, but beside one another.
TEST_F(ConcurrentCallsTest, WhoCreatesAnotherDoesNotWait) {
  host.while_making = [&] {
    host.while_making = [] {};
    EXPECT_EQ(run_aside(get_call(2, kPage, IPC_CREAT | 0666)), 0);
    EXPECT_EQ(run_aside(get_call(IPC_PRIVATE, kPage, 0600)), 1);
  };
  EXPECT_EQ(get(1, kPage, IPC_CREAT | 0666), 2) << "the identifier is chosen at the end";
}

TEST_F(ConcurrentCallsTest, WhoLacksPagesThatAnotherReservesWaitsForTheOutcome) {
  set_limits(registry, {.shmmax = 1 << 20, .shmall = 3, .shmmni = 16});
  for (const bool first_fails : {true, false}) {
    waiting = {};
    std::future<std::int64_t> second;
    host.while_making = [&] {
      host.while_making = [this] { host.create_error = Errno(0); };
      second = start(get_call(IPC_PRIVATE, 2 * kPage, 0600));
      wait_until_it_waits();
      if (first_fails) host.create_error = Errno(ENOMEM);
    };
    const auto first = get(IPC_PRIVATE, 2 * kPage, 0600);
    EXPECT_EQ(first >= 0, !first_fails);
    const auto answer = answer_of(second);
    EXPECT_EQ(answer, first_fails ? 0 : -ENOSPC);
    ctl(static_cast<int>(first_fails ? answer : first), IPC_RMID);
  }
}

TEST_F(ConcurrentCallsTest, WhoLacksPagesAnywayIsRefusedAtOnce) {
  set_limits(registry, {.shmmax = 1 << 20, .shmall = 3, .shmmni = 16});
  host.while_making = [&] {
    host.while_making = [] {};
    EXPECT_EQ(run_aside(get_call(IPC_PRIVATE, 4 * kPage, 0600)), -ENOSPC);
    EXPECT_EQ(run_aside(get_call(IPC_PRIVATE, 2 << 20, 0600)), -EINVAL);
  };
  EXPECT_GE(get(IPC_PRIVATE, 2 * kPage, 0600), 0);
}

TEST_F(ConcurrentCallsTest, WhileMemoryIsFreedOthersLook) {
  const int stays = segment(kPage, 0666);
  const int goes = segment();
  bool freed = false;
  host.last().while_freeing = [&] {
    freed = true;
    EXPECT_EQ(run_aside(ctl_call(stays, IPC_STAT, kBuffer)), 0);
    EXPECT_EQ(run_aside(ctl_call(goes, IPC_STAT, kBuffer)), -EINVAL);
    EXPECT_GE(run_aside(get_call(IPC_PRIVATE, kPage, 0600)), 0);
  };
  EXPECT_EQ(ctl(goes, IPC_RMID), 0);
  EXPECT_TRUE(freed) << "before the answer";
}

// Natively it was free before the segment was gone.
TEST_F(ConcurrentCallsTest, WhoIsRefusedMemoryWaitsForWhatIsBeingFreed) {
  const int goes = segment();
  FakePages& pages = host.last();
  std::future<std::int64_t> creation;
  bool freed_first = false;
  pages.while_freeing = [&] {
    host.create_error = Errno(ENOMEM);
    creation = start(get_call(IPC_PRIVATE, kPage, 0600));
    wait_until_it_waits();
    host.create_error = Errno(0);
    host.while_making = [&] { freed_first = pages.destroyed; };
  };
  EXPECT_EQ(ctl(goes, IPC_RMID), 0);
  EXPECT_GE(answer_of(creation), 0);
  EXPECT_TRUE(freed_first);
}

TEST_F(ConcurrentCallsTest, TheLastDetachOfARemovedSegmentFreesItBeforeItsAnswer) {
  const int stays = segment(kPage, 0666);
  const int goes = segment();
  FakePages& pages = host.last();
  caller.space().callers_complete = true;
  const std::uint64_t address = 0x7000'0000;
  ASSERT_EQ(at(goes, address), 0);
  ASSERT_EQ(ctl(goes, IPC_RMID), 0);
  bool freed = false;
  pages.while_freeing = [&] {
    freed = true;
    EXPECT_EQ(caller.space().finished_unmapping, 1) << "or the file would still be open";
    EXPECT_EQ(run_aside(ctl_call(stays, IPC_STAT, kBuffer)), 0);
    EXPECT_EQ(run_aside(ctl_call(goes, IPC_STAT, kBuffer)), -EINVAL);
  };
  const Reply reply = answer_call(decode(dt_call(address)), caller, registry);
  EXPECT_TRUE(freed) << "nothing is left to the caller";
  EXPECT_EQ(reply.value(), 0);
}

TEST_F(ConcurrentCallsTest, SoDoesAnAttachInItsPlace) {
  const int other_one = segment();
  const int goes = segment();
  FakePages& pages = host.last();
  const std::uint64_t address = attach(goes);
  ASSERT_EQ(ctl(goes, IPC_RMID), 0);
  ASSERT_EQ(at(other_one, address, SHM_REMAP), static_cast<std::int64_t>(address));
  EXPECT_TRUE(pages.destroyed);
}

// Somebody may watch the file, and keep who opens it.
TEST_F(ConcurrentCallsTest, WhileADescriptionIsOpenedOthersDoAnything) {
  const int id = segment(kPage, 0666);
  const int stays = segment(kPage, 0666);
  FakePages& pages = *host.pages.front();
  pages.while_opening = [&] {
    pages.while_opening = [] {};
    EXPECT_EQ(run_aside(ctl_call(stays, IPC_RMID, 0)), 0);
    EXPECT_EQ(run_aside(ctl_call(id, IPC_RMID, 0)), 0);
    EXPECT_EQ(run_aside(ctl_call(id, IPC_STAT, kBuffer)), 0) << "as shm_nattch++ keeps it";
  };
  const std::uint64_t address = attach(id);
  EXPECT_FALSE(pages.destroyed);
  EXPECT_EQ(dt(address), 0);
  EXPECT_TRUE(pages.destroyed);
}

TEST_F(ConcurrentCallsTest, ASegmentRemovedWhileItsMemoryCannotBeOpenedGoes) {
  host.open_error = Errno(ENOMEM);
  const int id = segment(kPage, 0666);
  FakePages& pages = host.last();
  pages.while_opening = [&] { EXPECT_EQ(run_aside(ctl_call(id, IPC_RMID, 0)), 0); };
  EXPECT_EQ(at(id), -ENOMEM);
  EXPECT_TRUE(pages.destroyed);
  EXPECT_EQ(ctl(id, IPC_STAT), -EINVAL);
}

// A caller that could be kept by whatever holds it back is waited for without a lock.
TEST_F(ConcurrentCallsTest, WhileACallerIsSecuredOthersDoAnything) {
  const int id = segment(kPage, 0666);
  int secured = 0;
  caller.on_secure = [&] {
    ++secured;
    const auto made = run_aside(get_call(IPC_PRIVATE, kPage, 0666));
    EXPECT_GE(made, 0);
    EXPECT_EQ(run_aside(ctl_call(static_cast<int>(made), SHM_UNLOCK, 0)), 0);
    EXPECT_EQ(run_aside(ctl_call(static_cast<int>(made), IPC_RMID, 0)), 0);
  };
  caller.put(shmid_ds{});
  EXPECT_GE(get(1, kPage, IPC_CREAT | 0600), 0);
  EXPECT_EQ(ctl(id, SHM_LOCK), 0);
  EXPECT_EQ(ctl(id, IPC_SET), 0);
  caller.subject().capabilities.insert(Capability::kSysAdmin);
  EXPECT_EQ(ctl(id, IPC_RMID), 0);
  EXPECT_EQ(secured, 4);
  EXPECT_EQ(caller.confirmed.size(), 5U) << "with that of the segment";
}

}  // namespace
}  // namespace shmvisor
