// Calls that wait for their time without a thread.
#include "supervisor/serve/delayed_calls.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <set>

namespace shmvisor {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

class DelayedCallsTest : public ::testing::Test {
 protected:
  DelayedCallsTest() : delayed_([this](std::uint64_t id) { return !dead_.contains(id); }) {}

  static seccomp_notif call(std::uint64_t id, unsigned pid = 1) {
    seccomp_notif notif{};
    notif.id = id;
    notif.pid = pid;
    return notif;
  }
  bool add(std::uint64_t id, microseconds delay, uid_t user = 1000, unsigned pid = 1) {
    return delayed_.add(call(id, pid), user, delay, {ENOMEM, {}, {}});
  }
  /// Its id; 0 for none.
  std::uint64_t due() {
    const auto taken = delayed_.take_due();
    return taken ? taken->id : 0;
  }

  std::set<std::uint64_t> dead_;
  DelayedCalls delayed_;
};

TEST_F(DelayedCallsTest, ACallIsTakenWhenItsTimeHasCome) {
  EXPECT_FALSE(delayed_.any());
  EXPECT_EQ(delayed_.time_left(), milliseconds(0));
  ASSERT_TRUE(add(1, seconds(60)));
  EXPECT_TRUE(delayed_.any());
  EXPECT_FALSE(delayed_.has_due());
  EXPECT_EQ(due(), 0U);
  EXPECT_GT(delayed_.time_left(), milliseconds(1000));
  ASSERT_TRUE(add(2, microseconds(1), 1000, 2));
  ::usleep(2000);
  EXPECT_TRUE(delayed_.has_due());
  EXPECT_EQ(delayed_.time_left(), milliseconds(1));
  EXPECT_EQ(due(), 2U);
  EXPECT_EQ(due(), 0U);
}

TEST_F(DelayedCallsTest, WhatWasDecidedIsKeptUntilItIsServed) {
  ASSERT_TRUE(add(1, microseconds(1)));
  EXPECT_FALSE(delayed_.take_decided(1));
  ::usleep(2000);
  ASSERT_EQ(due(), 1U);
  EXPECT_FALSE(delayed_.take_decided(2));
  const auto decided = delayed_.take_decided(1);
  ASSERT_TRUE(decided);
  EXPECT_EQ(decided->error, ENOMEM);
  EXPECT_FALSE(delayed_.take_decided(1));
  EXPECT_FALSE(delayed_.any());
}

TEST_F(DelayedCallsTest, ADeadCallersCallIsForgotten) {
  ASSERT_TRUE(add(1, microseconds(1)));
  dead_.insert(1);
  ::usleep(2000);
  EXPECT_EQ(due(), 0U);
  EXPECT_FALSE(delayed_.any());
}

TEST_F(DelayedCallsTest, ACallThatComesAgainGoesOnWaiting) {
  ASSERT_TRUE(add(1, seconds(60)));
  EXPECT_FALSE(delayed_.comes_again(call(2))) << "the first one waits still";
  dead_.insert(1);
  EXPECT_FALSE(delayed_.comes_again(call(2, 7))) << "another thread";
  seccomp_notif other = call(2);
  other.data.args[0] = 5;
  EXPECT_FALSE(delayed_.comes_again(other)) << "another call";
  EXPECT_TRUE(delayed_.comes_again(call(2)));
  EXPECT_FALSE(delayed_.has_due());
  EXPECT_GT(delayed_.time_left(), milliseconds(1000));
}

TEST_F(DelayedCallsTest, OneUserLeavesRoomToOthersAndTheDeadMakeRoom) {
  std::uint64_t id = 1;
  while (add(id, seconds(60), 1000)) ++id;
  EXPECT_EQ(id - 1, DelayedCalls::kMost / 2);
  EXPECT_TRUE(add(100000, seconds(60), 1001));
  EXPECT_FALSE(add(id, seconds(60), 1000));
  dead_.insert(1);
  EXPECT_TRUE(add(id, seconds(60), 1000));
}

}  // namespace
}  // namespace shmvisor
