#include "supervisor/inject/tracer_patience.h"

#include <gtest/gtest.h>

#include <vector>

namespace shmvisor {
namespace {

constexpr std::chrono::hours kLong(1);
constexpr std::chrono::milliseconds kNone(0);
constexpr uid_t kUser = 7;

TEST(TracerPatienceTest, OnlySoManyWaitAtATime) {
  TracerPatience patience(kLong);
  std::vector<std::optional<TracerPatience::Turn>> turns;
  for (pid_t caller = 1; caller <= TracerPatience::kMostWaiting; ++caller) {
    const auto user = static_cast<uid_t>(caller);
    turns.push_back(patience.begin(caller, 1000, user));
    EXPECT_TRUE(turns.back());
  }
  EXPECT_FALSE(patience.begin(1001, 1000, 1001));
  turns.pop_back();
  EXPECT_TRUE(patience.begin(1001, 1000, 1001));
}

TEST(TracerPatienceTest, OneUserLeavesOthersTheirPlaces) {
  TracerPatience patience(kLong);
  std::vector<std::optional<TracerPatience::Turn>> turns;
  for (pid_t caller = 1; caller <= TracerPatience::kMostOfUser; ++caller) {
    turns.push_back(patience.begin(caller, 1000, kUser));
    EXPECT_TRUE(turns.back());
  }
  EXPECT_FALSE(patience.begin(1001, 1000, kUser));
  EXPECT_TRUE(patience.begin(1002, 1000, kUser + 1));
  turns.pop_back();
  EXPECT_TRUE(patience.begin(1001, 1000, kUser));
}

TEST(TracerPatienceTest, ATracerThatStayedIsNotWaitedForAgain) {
  TracerPatience patience(kNone);
  EXPECT_FALSE(patience.begin(1, 1000, kUser));
  EXPECT_FALSE(patience.begin(2, 1000, kUser));
}

TEST(TracerPatienceTest, AnotherTracerIs) {
  TracerPatience patience(std::chrono::milliseconds(200));
  const auto begin = std::chrono::steady_clock::now();
  while (patience.begin(1, 1000, kUser)) {
    ASSERT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
  }
  EXPECT_FALSE(patience.begin(2, 1000, kUser));
  EXPECT_TRUE(patience.begin(1, 1001, kUser));
}

TEST(TracerPatienceTest, NobodyTracesThisThread) {
  EXPECT_EQ(tracer_of(gettid()).tid, 0);
  EXPECT_FALSE(nudge_traced(gettid())) << "what nobody traces takes no signal that it ignores";
}

}  // namespace
}  // namespace shmvisor
