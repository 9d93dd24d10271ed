// Work whose outcome a loop takes over.
#include "supervisor/loop/loop_task.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>
#include <vector>

#include "tests/turn_until.h"

namespace shmvisor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Lets a work end when the test says so.
struct Latch {
  Mutex mutex;
  Condition changed;
  bool open GUARDED_BY(mutex) = false;

  void wait() {
    const MutexLock lock(mutex);
    while (!open) changed.wait(mutex);
  }
  void let_go() {
    const MutexLock lock(mutex);
    open = true;
    changed.notify_all();
  }
};

TEST(LoopTask, TheLoopTakesTheOutcomeAndMayBeginAnother) {
  EventLoop loop;
  std::vector<int> taken;
  std::unique_ptr<LoopTask<int>> task;
  const auto take = [&](std::optional<int>& outcome) {
    taken.push_back(outcome.value_or(-1));
    EXPECT_FALSE(task->under_way());
    if (taken.size() < 100) {
      EXPECT_TRUE(task->begin([next = taken.size()] { return static_cast<int>(next); }));
    }
  };
  task = std::make_unique<LoopTask<int>>(loop, take);
  ASSERT_TRUE(task->valid());
  ASSERT_TRUE(task->begin([] { return 0; }));
  EXPECT_TRUE(task->under_way());
  EXPECT_TRUE(turn_until(loop, [&] { return taken.size() == 100; }));
  EXPECT_EQ(taken.back(), 99);
  EXPECT_TRUE(task->wait_for_end(seconds(10)));
}

TEST(LoopTask, WorkThatThrowsHasNoOutcome) {
  EventLoop loop;
  int without = 0;
  LoopTask<int> task(loop, [&](std::optional<int>& outcome) { without += outcome ? 0 : 1; });
  ASSERT_TRUE(task.begin([]() -> int { throw std::runtime_error("no"); }));
  EXPECT_TRUE(turn_until(loop, [&] { return without == 1; }));
  EXPECT_FALSE(task.under_way());
}

TEST(LoopTask, AnOutcomeIsOfferedUntilItIsTaken) {
  EventLoop loop;
  int tries = 0;
  LoopTask<int> task(loop, [&](std::optional<int>& outcome) {
    EXPECT_EQ(outcome, 7);
    if (++tries < 3) throw std::bad_alloc();
  });
  ASSERT_TRUE(task.begin([] { return 7; }));
  EXPECT_TRUE(turn_until(loop, [&] { return tries == 3; }));
  EXPECT_FALSE(task.under_way());
}

TEST(LoopTask, WhatTheWorkOwnsIsGoneWhenItHasEnded) {
  EventLoop loop;
  LoopTask<int> task(loop, [](std::optional<int>& /*outcome*/) {});
  auto owned = std::make_shared<int>(1);
  const auto gate = std::make_shared<Latch>();
  ASSERT_TRUE(task.begin([owned, gate] {
    gate->wait();
    return *owned;
  }));
  EXPECT_FALSE(task.wait_for_end(milliseconds(5)));
  gate->let_go();
  EXPECT_TRUE(task.wait_for_end(seconds(10)));
  EXPECT_EQ(owned.use_count(), 1);
}

}  // namespace
}  // namespace shmvisor
