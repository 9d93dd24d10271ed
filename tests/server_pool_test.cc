// ServerPool: listeners that come, call, fall silent and go.
#include "supervisor/session/server_pool.h"

#include <fcntl.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#include <filesystem>
#include <thread>

#include "emulation/abi/abi.h"
#include "supervisor/resources/last_closes.h"
#include "supervisor/scope/descendant_scope.h"
#include "tests/serving_suite.h"
#include "tests/supervised_child.h"
#include "tests/turn_until.h"

namespace shmvisor {
namespace {

constexpr key_t kKey = 0x5e13;
constexpr std::size_t kPage = kPageBytes;

std::ptrdiff_t entries_of(const char* folder) {
  return std::distance(std::filesystem::directory_iterator(folder), {});
}

class ServerPoolTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { set_up_serving_suite(); }

  /// What the test before left behind is freed in a thread that nobody waits for.
  void SetUp() override {
    for (std::ptrdiff_t before = 0; before != entries_of("/proc/self/task");) {
      before = entries_of("/proc/self/task");
      ::usleep(20'000);
    }
  }

  std::shared_ptr<Session> make_session() {
    auto session = Session::of_command(resources_, Limits());
    session->scope().add(std::make_shared<DescendantScope>(features_));
    return session;
  }

  Result<void> serve(SupervisedChild& child, std::shared_ptr<Session> session) {
    EXPECT_EQ(child.trouble(), "");
    StrangersFile listener =
        StrangersFile::of(UniqueFd(::fcntl(child.listener().fd(), F_DUPFD_CLOEXEC, 0)));
    return pool_.add(listener, WaitKind::kUnknown,
                     {.session = std::move(session), .ended = [this] { ++ended_; }});
  }

  /// False where it does not happen in time.
  template <typename Condition>
  bool turn_until(Condition condition) {
    return shmvisor::turn_until(loop_, condition);
  }

  KernelFeatures features_;
  const std::shared_ptr<SessionResources> resources_ =
      std::make_shared<SessionResources>(features_);
  EventLoop loop_;
  ServerPool pool_{loop_};
  int ended_ = 0;
};

/// 0 where a segment of that key could be made and used, an errno otherwise.
int make_segment() {
  const int id = ::shmget(kKey, kPage, IPC_CREAT | IPC_EXCL | 0600);
  if (id < 0) return errno;
  void* const at = ::shmat(id, nullptr, 0);
  return at != reinterpret_cast<void*>(-1) && ::shmdt(at) == 0 ? 0 : errno;
}

TEST_F(ServerPoolTest, WhoSharesASessionSharesSegments) {
  Gate made;
  SupervisedChild first([&] {
    const int error = make_segment();
    made.open();
    return error;
  });
  SupervisedChild second([&] {
    if (!made.pass()) return 1;
    return ::shmget(kKey, 0, 0) >= 0 ? 0 : errno;
  });
  SupervisedChild stranger([&] { return make_segment(); });
  const auto shared = make_session();
  ASSERT_TRUE(serve(first, shared));
  ASSERT_TRUE(serve(second, shared));
  ASSERT_TRUE(serve(stranger, make_session()));
  EXPECT_EQ(pool_.size(), 3U);
  EXPECT_TRUE(turn_until([&] { return pool_.size() == 0; }));
  EXPECT_EQ(ended_, 3);
  EXPECT_EQ(exit_status_of(first.child()), 0);
  EXPECT_EQ(exit_status_of(second.child()), 0);
  EXPECT_EQ(exit_status_of(stranger.child()), 0) << "a session of its own has no such key yet";
}

TEST_F(ServerPoolTest, TheQuietHaveNoThreads) {
  Gate again;
  SupervisedChild child([&] {
    const int error = make_segment();
    if (error != 0 || !again.pass()) return error + 1;
    return ::shmget(kKey, 0, 0) >= 0 ? 0 : errno;
  });
  const auto threads = entries_of("/proc/self/task");
  ASSERT_TRUE(serve(child, make_session()));
  EXPECT_EQ(entries_of("/proc/self/task"), threads) << "nobody called yet";
  EXPECT_TRUE(turn_until([&] { return pool_.awake() == 1; }));
  EXPECT_TRUE(turn_until([&] { return pool_.awake() == 0; }));
  EXPECT_TRUE(turn_until([&] { return entries_of("/proc/self/task") == threads; }));
  EXPECT_EQ(pool_.size(), 1U);
  EXPECT_FALSE(loop_.next_due()) << "nothing wakes us";
  again.open();
  EXPECT_TRUE(turn_until([&] { return pool_.size() == 0; }));
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST_F(ServerPoolTest, TheEndedLeaveNothingBehind) {
  const auto threads = entries_of("/proc/self/task");
  const auto descriptors = entries_of("/proc/self/fd");
  for (int round = 0; round < 20; ++round) {
    SupervisedChild child([] { return make_segment(); });
    auto session = make_session();
    const std::weak_ptr<Session> watched = session;
    ASSERT_TRUE(serve(child, std::move(session)));
    EXPECT_FALSE(watched.expired());
    EXPECT_TRUE(turn_until([&] { return pool_.size() == 0; }));
    EXPECT_TRUE(watched.expired());
    EXPECT_EQ(exit_status_of(child.child()), 0);
  }
  EXPECT_TRUE(turn_until([&] { return entries_of("/proc/self/task") == threads; }));
  EXPECT_EQ(entries_of("/proc/self/fd"), descriptors);
}

TEST_F(ServerPoolTest, DrainedNobodyIsServed) {
  Gate served;
  SupervisedChild child([&] {
    const int error = make_segment();
    served.open();
    raw_call(SYS_shmget, 1);  // waits until nobody can answer any more
    return error;
  });
  ASSERT_TRUE(serve(child, make_session()));
  EXPECT_TRUE(turn_until([&] { return pool_.awake() == 1; }));
  ASSERT_TRUE(served.pass());
  EXPECT_TRUE(pool_.drain(kPatience));
  EXPECT_EQ(pool_.size(), 0U);
  // The child has a descriptor of the listener itself, and so waits on.
  EXPECT_TRUE(LastCloses::all().wait_until_taken(kPatience));
}

TEST_F(ServerPoolTest, WhatCannotBeWatchedIsRefused) {
  const auto descriptors = entries_of("/proc/self/fd");
  {
    StrangersFile file =
        StrangersFile::of(UniqueFd(::open("/proc/self/status", O_RDONLY | O_CLOEXEC)));
    EXPECT_FALSE(pool_.add(file, WaitKind::kUnknown, {.session = make_session()}));
    EXPECT_EQ(pool_.size(), 0U);
    EXPECT_TRUE(file.valid());
  }
  EXPECT_TRUE(LastCloses::all().wait_until_taken(std::chrono::seconds(20)));
  EXPECT_EQ(entries_of("/proc/self/fd"), descriptors);
}

}  // namespace
}  // namespace shmvisor
