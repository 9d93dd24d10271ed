// Reading a configuration again, for signals and clients.
#include "supervisor/session/reloader.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <new>

#include "tests/turn_until.h"

namespace shmvisor {
namespace {

/// What is read is the number of the reading, as shmmax.
class ReloaderTest : public ::testing::Test {
 protected:
  ReloaderTest() {
    reloader_.tell([this](Reloader::Reading reading, const SteeringUpdate& update) {
      told_[reading] = update.problems.empty() ? "" : update.problems.front();
      shortage_ = update.shortage;
      if (ask_when_told_) {
        ask_when_told_ = false;
        last_asked_ = reloader_.ask();
      }
    });
  }
  ~ReloaderTest() override { EXPECT_TRUE(reloader_.wait_for_end(std::chrono::seconds(10))); }

  SteeringUpdate read() {
    const unsigned number = ++readings_;
    SteeringUpdate update;
    update.steering.limits.shmmax = number;
    if (number == bad_) update.problems.emplace_back("it is bad");
    if (number == throws_) throw std::bad_alloc();
    return update;
  }
  void apply(const Steering& steering) {
    if (failures_to_come_ != 0) {
      --failures_to_come_;
      throw std::bad_alloc();
    }
    in_force_ = *steering.limits.shmmax;
  }
  bool turn_until_told(Reloader::Reading reading) {
    return turn_until(loop_, [this, reading] { return told_.contains(reading); });
  }

  EventLoop loop_;
  std::atomic<unsigned> readings_{0};
  unsigned bad_ = 0;
  unsigned throws_ = 0;
  int failures_to_come_ = 0;
  std::uint64_t in_force_ = 0;
  bool ask_when_told_ = false;
  Reloader::Reading last_asked_ = 0;
  SteeringUpdate::Shortage shortage_ = SteeringUpdate::Shortage::kNone;
  std::map<Reloader::Reading, std::string> told_;
  Reloader reloader_{loop_, [this] { return read(); },
                     [this](const Steering& steering) { apply(steering); }};
};

TEST_F(ReloaderTest, WhoAsksWhileItIsReadIsServedByTheNextReading) {
  EXPECT_EQ(reloader_.ask(), 1U);
  EXPECT_EQ(reloader_.ask(), 1U) << "it is not begun yet";
  ASSERT_TRUE(loop_.turn(EventLoop::Clock::now()));
  EXPECT_EQ(reloader_.ask(), 2U);
  EXPECT_EQ(reloader_.ask(), 2U);
  EXPECT_TRUE(turn_until_told(2));
  EXPECT_EQ(readings_, 2U);
  EXPECT_EQ(in_force_, 2U);
  EXPECT_TRUE(told_.contains(1));
}

// As a SIGHUP right behind another one.
TEST_F(ReloaderTest, WhoAsksAtItsVeryEndIsServedToo) {
  for (Reloader::Reading number = 1; number < 200; number += 2) {
    ask_when_told_ = true;
    EXPECT_EQ(reloader_.ask(), number);
    ASSERT_TRUE(turn_until_told(number + 1));
    EXPECT_EQ(last_asked_, number + 1);
    EXPECT_EQ(in_force_, number + 1);
  }
  for (const auto& [reading, problem] : told_) EXPECT_EQ(problem, "") << reading;
}

TEST_F(ReloaderTest, AProblemChangesNothing) {
  bad_ = 2;
  throws_ = 3;
  for (const Reloader::Reading number : {1U, 2U, 3U, 4U}) {
    reloader_.ask();
    ASSERT_TRUE(turn_until_told(number));
    EXPECT_EQ(in_force_, number == 4 ? 4U : 1U);
    EXPECT_EQ(shortage_ == SteeringUpdate::Shortage::kMemory, number == 3);
  }
  EXPECT_EQ(told_[2], "it is bad");
}

TEST_F(ReloaderTest, WhatMemoryWasShortForIsPutIntoEffectLater) {
  failures_to_come_ = 3;
  reloader_.ask();
  ASSERT_TRUE(turn_until_told(1));
  EXPECT_EQ(in_force_, 1U);
  EXPECT_EQ(told_[1], "");
  EXPECT_EQ(readings_, 1U);
}

}  // namespace
}  // namespace shmvisor
