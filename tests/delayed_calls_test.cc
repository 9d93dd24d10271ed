// Calls that wait for their time without a thread.
#include "supervisor/serve/delayed_calls.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <set>
#include <thread>
#include <utility>

namespace shmvisor {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

class DelayedCallsTest : public ::testing::Test {
 protected:
  using Known = DelayedCalls::Known;

  DelayedCallsTest()
      : delayed_([this](std::uint64_t id) {
          ++asked_;
          return !dead_.contains(id);
        }) {}

  static seccomp_notif call(std::uint64_t id, unsigned pid = 1) {
    seccomp_notif notif{};
    notif.id = id;
    notif.pid = pid;
    return notif;
  }
  /// Each of a thread of its own.
  bool add(std::uint64_t id, microseconds delay, uid_t user = 1000) {
    return delayed_.add(call(id, static_cast<unsigned>(id)), user, delay, decided_);
  }
  DelayedCalls::Known recall(std::uint64_t id, unsigned pid) {
    return delayed_.recall(call(id, pid)).known;
  }
  /// Its id; 0 for none.
  std::uint64_t due() {
    const auto taken = delayed_.take_due();
    return taken ? taken->id : 0;
  }

  const DelayedCalls::Decided decided_{ENOMEM, {}, {}};
  std::set<std::uint64_t> dead_;
  int asked_ = 0;  ///< whether a call is alive
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
  ASSERT_TRUE(add(2, microseconds(1)));
  ::usleep(2000);
  EXPECT_TRUE(delayed_.has_due());
  EXPECT_EQ(delayed_.time_left(), milliseconds(1));
  EXPECT_EQ(due(), 2U);
  EXPECT_EQ(due(), 0U);
}

TEST_F(DelayedCallsTest, ACallGoesOnWhenItsRuleIsTakenAway) {
  const auto of_rule = [this](int error) {
    DelayedCalls::Decided decided = decided_;
    auto rule = std::make_shared<Rule>();
    rule->error = error;
    decided.rule = std::move(rule);
    return decided;
  };
  ASSERT_TRUE(delayed_.add(call(1, 1), 0, seconds(60), of_rule(EIO)));
  ASSERT_TRUE(delayed_.add(call(2, 2), 0, seconds(60), of_rule(ENOSPC)));
  ASSERT_TRUE(delayed_.add(call(3, 3), 0, seconds(60), of_rule(EIO)));
  ASSERT_TRUE(delayed_.add(call(4, 4), 0, seconds(60), of_rule(EIO)));
  dead_ = {3, 4};
  ASSERT_EQ(recall(5, 3), Known::kWaits) << "the third has come again";
  delayed_.release_without_rule([](const Rule& rule) { return rule.error == ENOSPC; });
  dead_ = {3, 4, 5};
  EXPECT_EQ(recall(6, 3), Known::kNot) << "and comes again before it was taken";
  EXPECT_TRUE(delayed_.has_due());
  EXPECT_EQ(due(), 1U);
  EXPECT_EQ(recall(1, 1), Known::kNot) << "to be judged anew";
  EXPECT_EQ(due(), 0U) << "of the fourth nobody waits";
  EXPECT_EQ(recall(7, 4), Known::kNot);
  dead_.insert(2);
  EXPECT_EQ(recall(8, 2), Known::kWaits) << "its rule is in force";
}

TEST_F(DelayedCallsTest, WhatWasDecidedHoldsUntilItIsAnswered) {
  ASSERT_TRUE(add(1, microseconds(1)));
  ::usleep(2000);
  ASSERT_EQ(due(), 1U);
  EXPECT_EQ(recall(2, 2), Known::kNot);
  const auto recalled = delayed_.recall(call(1));
  EXPECT_EQ(recalled.known, Known::kDecided);
  EXPECT_EQ(recalled.decided.error, ENOMEM);
  delayed_.answered(call(1), 1000, recalled.decided, /*delivered=*/true);
  EXPECT_FALSE(delayed_.any());
  EXPECT_EQ(recall(1, 1), Known::kNot);
}

TEST_F(DelayedCallsTest, ACallThatComesAgainGoesOnWaiting) {
  ASSERT_TRUE(add(1, seconds(60)));
  EXPECT_EQ(recall(2, 1), Known::kVoid) << "the first one waits still, so this one is older";
  dead_.insert(1);
  EXPECT_EQ(recall(2, 7), Known::kNot) << "another thread";
  seccomp_notif other = call(2);
  other.data.args[0] = 5;
  EXPECT_EQ(delayed_.recall(other).known, Known::kNot) << "another call";
  EXPECT_EQ(recall(2, 1), Known::kWaits);
  EXPECT_FALSE(delayed_.has_due());
  EXPECT_GT(delayed_.time_left(), milliseconds(1000));
}

TEST_F(DelayedCallsTest, ACallWhoseTimeCameWhileItsHandlerRanIsNotDelayedAnew) {
  ASSERT_TRUE(add(1, milliseconds(1)));
  dead_.insert(1);
  ::usleep(2000);
  EXPECT_EQ(due(), 0U);
  EXPECT_TRUE(delayed_.any()) << "it may come again";
  EXPECT_GT(delayed_.time_left(), seconds(1));
  const auto recalled = delayed_.recall(call(2));
  EXPECT_EQ(recalled.known, Known::kDecided);
  EXPECT_EQ(recalled.decided.error, ENOMEM);
  delayed_.answered(call(2), 1000, recalled.decided, /*delivered=*/true);
  EXPECT_FALSE(delayed_.any());
}

TEST_F(DelayedCallsTest, ACallWhoseAnswerCameTooLateIsKnownAgain) {
  delayed_.answered(call(1), 1000, decided_, /*delivered=*/true);
  EXPECT_FALSE(delayed_.any());
  delayed_.answered(call(1), 1000, decided_, /*delivered=*/false);
  dead_.insert(1);
  EXPECT_FALSE(delayed_.has_due());
  EXPECT_EQ(due(), 0U);
  EXPECT_EQ(recall(2, 1), Known::kDecided);
  dead_.insert(2);
  delayed_.answered(call(2), 1000, decided_, /*delivered=*/false);
  EXPECT_EQ(recall(3, 1), Known::kDecided) << "and once more";
  delayed_.answered(call(3), 1000, decided_, /*delivered=*/true);
  EXPECT_FALSE(delayed_.any());
}

TEST_F(DelayedCallsTest, AThreadThatCallsSomethingElseIsDelayedToo) {
  ASSERT_TRUE(add(1, seconds(60)));
  dead_.insert(1);
  seccomp_notif other = call(2);
  other.data.args[0] = 5;
  ASSERT_TRUE(delayed_.add(other, 1000, microseconds(1), decided_));
  ::usleep(2000);
  EXPECT_EQ(due(), 2U);
  EXPECT_EQ(due(), 0U);
}

TEST_F(DelayedCallsTest, OneUserLeavesRoomToOthersAndTheDeadMakeRoom) {
  std::uint64_t id = 1;
  while (add(id, seconds(60), 1000)) ++id;
  EXPECT_EQ(id - 1, DelayedCalls::kMost / 2);
  EXPECT_TRUE(add(100000, seconds(60), 1001));
  EXPECT_FALSE(add(id, seconds(60), 1000));
  dead_.insert(1);
  std::this_thread::sleep_for(DelayedCalls::kBetweenSearches);
  EXPECT_TRUE(add(id, seconds(60), 1000));
}

TEST_F(DelayedCallsTest, AUserThatHasItsShareMakesNobodySearchAgainAndAgain) {
  std::uint64_t id = 1;
  while (add(id, seconds(60), 1000)) ++id;
  asked_ = 0;
  constexpr int kCalls = 10'000;
  const auto began = DelayedCalls::Clock::now();
  for (int call = 0; call < kCalls; ++call) EXPECT_FALSE(add(id, seconds(60), 1000));
  const auto searches = (DelayedCalls::Clock::now() - began) / DelayedCalls::kBetweenSearches + 1;
  EXPECT_LE(asked_, searches * static_cast<int>(DelayedCalls::kMost / 2));
}

}  // namespace
}  // namespace shmvisor
