// What one caller sees while another one's call takes long.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>

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

TEST_F(ConcurrentCallsTest, WhileMemoryIsFreedOthersLookAndNobodyMakesAny) {
  const int stays = segment(kPage, 0666);
  const int goes = segment();
  FakePages& pages = host.last();
  std::future<std::int64_t> creation;
  bool freed_first = false;
  pages.while_freeing = [&] {
    EXPECT_EQ(run_aside(ctl_call(stays, IPC_STAT, kBuffer)), 0);
    EXPECT_EQ(run_aside(ctl_call(goes, IPC_STAT, kBuffer)), -EINVAL);
    host.while_making = [&] { freed_first = pages.destroyed; };
    creation = start(get_call(IPC_PRIVATE, kPage, 0600));
    wait_until_it_waits();
  };
  EXPECT_EQ(ctl(goes, IPC_RMID), 0);
  EXPECT_GE(answer_of(creation), 0);
  EXPECT_TRUE(freed_first);
}

TEST_F(ConcurrentCallsTest, TheSameWhereTheLastDetachFreesIt) {
  const int stays = segment(kPage, 0666);
  const int goes = segment();
  FakePages& pages = host.last();
  const std::uint64_t address = attach(goes);
  ASSERT_EQ(ctl(goes, IPC_RMID), 0);
  std::future<std::int64_t> creation;
  bool freed_first = false;
  pages.while_freeing = [&] {
    EXPECT_EQ(run_aside(ctl_call(stays, IPC_STAT, kBuffer)), 0);
    host.while_making = [&] { freed_first = pages.destroyed; };
    creation = start(get_call(IPC_PRIVATE, kPage, 0600));
    wait_until_it_waits();
  };
  ASSERT_EQ(dt(address), 0);
  host.note_release(pages.identity);
  EXPECT_EQ(ctl(goes, IPC_STAT), -EINVAL);
  EXPECT_GE(answer_of(creation), 0);
  EXPECT_TRUE(freed_first);
}

}  // namespace
}  // namespace shmvisor
