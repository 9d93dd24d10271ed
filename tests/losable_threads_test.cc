#include "supervisor/process/losable_threads.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <stdexcept>

#include "supervisor/process/background_task.h"

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
