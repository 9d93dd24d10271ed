#include "supervisor/tasks/losable_threads.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <stdexcept>
#include <vector>

#include "supervisor/tasks/background_task.h"

namespace shmvisor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Threads that are held until this is opened.
struct Hold {
  std::promise<void> open;
  std::shared_future<void> opened = open.get_future().share();
  std::atomic<int> held{0};
  std::atomic<int> done{0};

  std::function<void()> task() {
    return [this] {
      ++held;
      opened.wait();
      ++done;
    };
  }
};

bool reaches(const std::atomic<int>& number, int wanted) {
  for (int wait = 0; wait < 10000 && number < wanted; ++wait) ::usleep(1000);
  return number == wanted;
}

TEST(LosableThreads, AThreadThatIsHeldKeepsNobodyElse) {
  Hold hold;
  for (int i = 1; i <= 5; ++i) {
    ASSERT_TRUE(LosableThreads::all().run(hold.task(), seconds(5)));
    ASSERT_TRUE(reaches(hold.held, i));
  }
  std::promise<void> ran;
  ASSERT_TRUE(LosableThreads::all().run([&ran] { ran.set_value(); }, seconds(5)));
  EXPECT_EQ(ran.get_future().wait_for(seconds(10)), std::future_status::ready);
  hold.open.set_value();
  EXPECT_TRUE(reaches(hold.done, 5));
}

TEST(LosableThreads, TheirNumberIsBoundedAndTheyComeBack) {
  Hold hold;
  int started = 0;
  while (LosableThreads::all().run(hold.task(), milliseconds(50))) ++started;
  EXPECT_LE(started, LosableThreads::kMost);
  EXPECT_GT(started, LosableThreads::kMost / 2);
  EXPECT_EQ(LosableThreads::all().run([] {}, milliseconds(0)).error(), Errno(EAGAIN));
  hold.open.set_value();
  EXPECT_TRUE(reaches(hold.done, started));
  EXPECT_TRUE(LosableThreads::all().run([] {}, seconds(5)));
}

/// In a process of its own: whether we may have more threads. Root is never refused one.
class ThreadLimit {
 public:
  ThreadLimit() {
    if (::getuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) _exit(100);
    ::getrlimit(RLIMIT_NPROC, &before_);
  }
  void refuse() const { set(0); }
  void allow() const { set(before_.rlim_max); }

 private:
  void set(rlim_t most) const {
    const rlimit limit{most, before_.rlim_max};
    if (::setrlimit(RLIMIT_NPROC, &limit) != 0) _exit(101);
  }

  rlimit before_{};
};

/// The number of the step that failed, or 0.
int use_the_reserve() {
  using Reserve = LosableThreads::Reserve;
  LosableThreads& threads = LosableThreads::all();
  const auto counts = [&] {
    std::promise<void> ran;
    return threads.run([&ran] { ran.set_value(); }, seconds(5)) &&
           ran.get_future().wait_for(seconds(10)) == std::future_status::ready;
  };
  const ThreadLimit limit;
  Hold hold;
  threads.keep_reserve();
  limit.refuse();
  if (threads.run([] {}, milliseconds(0), Reserve::kIsForOthers)) return 1;
  for (int again = 0; again < 3; ++again) {
    if (!counts()) return 2;
  }
  limit.allow();
  if (!threads.run(hold.task(), seconds(5)) || !reaches(hold.held, 1)) return 3;
  limit.refuse();
  if (!counts()) return 4;  // the other one took a new thread
  int held = 1;
  while (threads.run(hold.task(), milliseconds(500))) ++held;
  if (held == 1) return 5;
  limit.allow();
  if (!threads.run(hold.task(), seconds(5)) || !reaches(hold.held, ++held)) return 6;
  limit.refuse();
  if (!counts()) return 7;  // replaced meanwhile
  hold.open.set_value();
  return reaches(hold.done, held) ? 0 : 8;
}

TEST(LosableThreads, OneIsInReserveWhereNoneCanBeMade) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(_exit(use_the_reserve()), ::testing::ExitedWithCode(0), "");
}

using Payer = LosableThreads::Payer;

/// Given up, until the test ends.
class LostThreadsTest : public ::testing::Test {
 protected:
  ~LostThreadsTest() override {
    for (const Payer& payer : lost_) LosableThreads::all().come_back(payer);
  }
  int lose_all_it_can(const Payer& payer) {
    int lost = 0;
    for (; lost < 1000 && LosableThreads::all().may_lose(payer); ++lost) lose(payer);
    return lost;
  }
  void lose(const Payer& payer) {
    LosableThreads::all().lose(payer);
    lost_.push_back(payer);
  }

  std::vector<Payer> lost_;
};

TEST_F(LostThreadsTest, AGroupLeavesOthersAHalf) {
  int first = 0;
  for (uid_t user = 0; user < 500; ++user) first += lose_all_it_can({1, user});
  EXPECT_LE(first, LosableThreads::kMostLost / 2);
  EXPECT_GE(first, LosableThreads::kMostLost / 3);
  EXPECT_GE(lose_all_it_can({2, 0}), LosableThreads::kMostLost / 8);
  for (std::uintptr_t group = 3; group < 100; ++group) {
    EXPECT_TRUE(LosableThreads::all().may_lose_of_anybody(group)) << "one at least";
    EXPECT_GE(lose_all_it_can({group, 7}), 1);
  }
  const int all = static_cast<int>(lost_.size());
  EXPECT_LE(all, LosableThreads::kMostLost + 100);
}

TEST_F(LostThreadsTest, AUserLeavesOthersOfItsGroupSome) {
  const int first = lose_all_it_can({1, 1000});
  const int second = lose_all_it_can({1, 1001});
  EXPECT_GT(first, LosableThreads::kMostLost / 4);
  EXPECT_GT(second, 3);
  EXPECT_LT(second, first);
  EXPECT_FALSE(LosableThreads::all().may_lose_of_anybody(1));
  EXPECT_GT(lose_all_it_can({1, 1002}), 0);
}

TEST_F(LostThreadsTest, TheyKeepNobodyFromAThread) {
  Hold hold;
  int started = 0;
  for (; started < LosableThreads::kMost; ++started) {
    ASSERT_TRUE(LosableThreads::all().run(hold.task(), seconds(5)));
  }
  EXPECT_FALSE(LosableThreads::all().run([] {}, milliseconds(0)));
  lose({1, 1});
  EXPECT_TRUE(LosableThreads::all().run([] {}, seconds(5)));
  hold.open.set_value();
  EXPECT_TRUE(reaches(hold.done, started));
}

TEST(BackgroundTask, OneAtATime) {
  BackgroundTask task;
  EXPECT_FALSE(task.running());
  Hold hold;
  while (!task.start(hold.task())) ::usleep(1000);
  EXPECT_TRUE(task.running());
  EXPECT_EQ(task.start([] {}).error(), Errno(EBUSY));
  EXPECT_FALSE(task.wait_for_end(milliseconds(10)));
  hold.open.set_value();
  EXPECT_TRUE(task.wait_for_end(seconds(10)));
  EXPECT_FALSE(task.running());
}

TEST(BackgroundTask, WhatItThrowsIsItsEnd) {
  BackgroundTask task;
  while (!task.start([] { throw std::runtime_error("no"); })) ::usleep(1000);
  EXPECT_TRUE(task.wait_for_end(seconds(10)));
}

}  // namespace
}  // namespace shmvisor
