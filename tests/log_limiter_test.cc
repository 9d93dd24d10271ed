// LogLimiter: who may cause how many lines, at times that the test chooses.
#include "supervisor/log/log_limiter.h"

#include <gtest/gtest.h>

namespace shmvisor {
namespace {

constexpr uid_t kAttacker = 65534;
constexpr uid_t kOther = 1000;

class LogLimiterTest : public ::testing::Test {
 protected:
  int lines_of(LogTopic topic, uid_t user, int tries) {
    int lines = 0;
    for (int i = 0; i < tries; ++i) lines += limiter_.ask(topic, user, now_).may_log ? 1 : 0;
    return lines;
  }

  LogLimiter limiter_{3, std::chrono::seconds(10)};
  LogLimiter::Clock::time_point now_;
};

TEST_F(LogLimiterTest, OneUserHasSomeLinesAtOnceAndOneMoreLater) {
  EXPECT_EQ(lines_of(LogTopic::kAttaches, kAttacker, 1000), 3);
  now_ += std::chrono::seconds(9);
  EXPECT_EQ(lines_of(LogTopic::kAttaches, kAttacker, 1000), 0);
  now_ += std::chrono::seconds(1);
  EXPECT_EQ(lines_of(LogTopic::kAttaches, kAttacker, 1000), 1);
  now_ += std::chrono::hours(1);
  EXPECT_EQ(lines_of(LogTopic::kAttaches, kAttacker, 1000), 3) << "no more than at once";
}

TEST_F(LogLimiterTest, OthersAndOtherTopicsHaveTheirOwn) {
  EXPECT_EQ(lines_of(LogTopic::kAttaches, kAttacker, 1000), 3);
  EXPECT_EQ(lines_of(LogTopic::kAttaches, kOther, 1), 1);
  EXPECT_EQ(lines_of(LogTopic::kJoins, kAttacker, 1), 1);
}

TEST_F(LogLimiterTest, WhatIsLeftOutIsToldWithTheNextLineOrAtTheEnd) {
  lines_of(LogTopic::kAttaches, kAttacker, 10);
  now_ += std::chrono::seconds(10);
  EXPECT_EQ(limiter_.ask(LogTopic::kAttaches, kAttacker, now_).left_out, 7U);
  now_ += std::chrono::seconds(10);
  EXPECT_EQ(limiter_.ask(LogTopic::kAttaches, kAttacker, now_).left_out, 0U) << "told already";
  lines_of(LogTopic::kAttaches, kAttacker, 5);
  EXPECT_EQ(limiter_.take_untold(), 5U);
  EXPECT_EQ(limiter_.take_untold(), 0U);
}

TEST_F(LogLimiterTest, ManyUsersShareOneAllowance) {
  const auto most = static_cast<uid_t>(LogLimiter::kMostAllowances);
  for (uid_t user = 0; user < most; ++user) lines_of(LogTopic::kAttaches, user, 5);
  int lines = 0;
  for (uid_t user = most; user < 2 * most; ++user) lines += lines_of(LogTopic::kAttaches, user, 5);
  EXPECT_EQ(lines, 3);
  // Once the allowances of the others are full again they are forgotten, and what they lost is not.
  now_ += std::chrono::hours(1);
  EXPECT_EQ(lines_of(LogTopic::kAttaches, 2 * most, 5), 3);
  EXPECT_EQ(limiter_.take_untold(), most * 2U + most * 5U - 3U + 2U);
}

}  // namespace
}  // namespace shmvisor
