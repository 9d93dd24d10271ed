// LaneDemand and CallLanes: when several threads receive, and which of them serves whom.
#include "supervisor/serve/call_lanes.h"

#include <gtest/gtest.h>

#include <thread>

#include "supervisor/serve/lane_demand.h"

namespace shmvisor {
namespace {

class LaneDemandTest : public ::testing::Test {
 protected:
  /// So many calls, by so many callers that take turns.
  void calls(int count, int callers, bool overlap) {
    for (int i = 0; i < count; ++i) {
      demand_.received(1000 + i % callers, [&] {
        ++asked_;
        return overlap;
      });
    }
  }
  void engage() {
    calls(64, 4, true);
    ASSERT_TRUE(demand_.engaged());
    asked_ = 0;
  }

  LaneDemand demand_;
  int asked_ = 0;
};

TEST_F(LaneDemandTest, OneCallerNeverBeginsItAndCostsNoQuestion) {
  calls(100'000, 1, true);
  EXPECT_FALSE(demand_.engaged());
  EXPECT_LE(asked_, 1);
}

TEST_F(LaneDemandTest, CallersThatTakeTurnsDoNotBeginItAndCostFewQuestions) {
  calls(10'000, 2, false);
  EXPECT_FALSE(demand_.engaged());
  EXPECT_LE(asked_, 2'500);
}

TEST_F(LaneDemandTest, CallsThatOverlapBeginItAfterAFew) {
  calls(12, 2, true);
  EXPECT_FALSE(demand_.engaged()) << "a short burst";
  calls(4, 2, true);
  EXPECT_TRUE(demand_.engaged());
}

TEST_F(LaneDemandTest, OverlapsNowAndThenDoNotBeginIt) {
  for (int i = 0; i < 100; ++i) {
    calls(4, 2, true);
    calls(16, 2, false);
  }
  EXPECT_FALSE(demand_.engaged());
}

TEST_F(LaneDemandTest, ItLastsWhereOneInThreeOverlaps) {
  engage();
  for (int i = 0; i < 1000; ++i) {
    calls(1, 2, true);
    calls(2, 2, false);
  }
  EXPECT_TRUE(demand_.engaged());
}

TEST_F(LaneDemandTest, ItEndsWhereOneCallerIsLeft) {
  engage();
  calls(48, 1, false);
  EXPECT_FALSE(demand_.engaged());
}

TEST_F(LaneDemandTest, ItEndsAfterAFewWaitsInVain) {
  engage();
  for (int i = 0; i < 6; ++i) demand_.waited_in_vain();
  EXPECT_FALSE(demand_.engaged());
}

TEST_F(LaneDemandTest, AnotherProgramThatWantsTheCpuEndsItForAWhile) {
  using std::chrono::milliseconds;
  engage();
  demand_.was_kept(LaneDemand::kKept / 2);
  EXPECT_TRUE(demand_.engaged());
  const auto now = LaneDemand::Clock::now();
  demand_.was_kept(milliseconds(3), now);
  EXPECT_FALSE(demand_.engaged());
  const auto rested = now + LaneDemand::kRestAfterKept * milliseconds(3);
  calls(64, 4, true);
  const bool begun = demand_.engaged();
  if (LaneDemand::Clock::now() < rested) {
    EXPECT_FALSE(begun);
  }
  std::this_thread::sleep_until(rested);
  calls(64, 4, true);
  EXPECT_TRUE(demand_.engaged());
}

class CallLanesTest : public ::testing::Test {
 protected:
  static seccomp_notif call_of(pid_t tid) {
    seccomp_notif notif{};
    notif.pid = static_cast<std::uint32_t>(tid);
    return notif;
  }
  static pid_t tid_of(const std::optional<seccomp_notif>& call) {
    return call ? static_cast<pid_t>(call->pid) : 0;
  }
  /// Both threads have a lane, the first one the callers 1 and 3, the second one 2 and 4.
  void settle() {
    ASSERT_TRUE(lanes_.enter(&first_));
    ASSERT_TRUE(lanes_.enter(&second_));
    for (const pid_t tid : {1, 2, 3, 4}) {
      if (lanes_.hand_over(call_of(tid), &first_)) {
        ASSERT_EQ(tid_of(lanes_.next(&second_)), tid);
        ASSERT_TRUE(tid == 2 || tid == 4);
      }
    }
  }

  int first_ = 0;
  int second_ = 0;
  int third_ = 0;
  CallLanes lanes_{2};
};

TEST_F(CallLanesTest, NoMoreThreadsThanLanes) {
  EXPECT_TRUE(lanes_.enter(&first_));
  EXPECT_TRUE(lanes_.enter(&first_));
  EXPECT_TRUE(lanes_.enter(&second_));
  EXPECT_FALSE(lanes_.enter(&third_));
  EXPECT_EQ(lanes_.taken(), 2U);
  EXPECT_FALSE(lanes_.leave(&first_));
  EXPECT_FALSE(lanes_.leave(&first_));
  EXPECT_TRUE(lanes_.enter(&third_));
  EXPECT_EQ(lanes_.taken(), 2U);
}

TEST_F(CallLanesTest, CallersAreSharedOutEvenlyAndKeepToTheirLane) {
  settle();
  for (int round = 0; round < 3; ++round) {
    EXPECT_FALSE(lanes_.hand_over(call_of(1), &first_));
    EXPECT_TRUE(lanes_.hand_over(call_of(2), &first_));
    EXPECT_TRUE(lanes_.hand_over(call_of(3), &second_));
    EXPECT_FALSE(lanes_.hand_over(call_of(4), &second_));
    EXPECT_EQ(tid_of(lanes_.next(&first_)), 3);
    EXPECT_EQ(tid_of(lanes_.next(&second_)), 2);
    EXPECT_FALSE(lanes_.next(&first_));
    EXPECT_FALSE(lanes_.any_calls());
  }
}

TEST_F(CallLanesTest, CallsOfALaneKeepTheirOrder) {
  settle();
  EXPECT_TRUE(lanes_.hand_over(call_of(4), &first_));
  EXPECT_TRUE(lanes_.hand_over(call_of(2), &first_));
  EXPECT_EQ(tid_of(lanes_.next(&second_)), 4);
  EXPECT_EQ(tid_of(lanes_.next(&second_)), 2);
}

TEST_F(CallLanesTest, WhatIsLeftInALaneGoesToWhoeverLooksNext) {
  settle();
  EXPECT_TRUE(lanes_.hand_over(call_of(2), &first_));
  EXPECT_TRUE(lanes_.hand_over(call_of(4), &first_));
  EXPECT_TRUE(lanes_.leave(&second_));
  EXPECT_EQ(tid_of(lanes_.next(&first_)), 2) << "which has a lane, and stays there";
  EXPECT_EQ(lanes_.taken(), 1U);
  EXPECT_EQ(tid_of(lanes_.next(&third_)), 4);
  EXPECT_EQ(lanes_.taken(), 2U);
  EXPECT_TRUE(lanes_.hand_over(call_of(2), &first_)) << "to the third, in the second's lane";
  EXPECT_EQ(tid_of(lanes_.next(&third_)), 2);
}

TEST_F(CallLanesTest, WithoutAThreadInTheirLaneCallersMove) {
  settle();
  EXPECT_FALSE(lanes_.leave(&second_));
  EXPECT_FALSE(lanes_.hand_over(call_of(2), &first_));
  EXPECT_TRUE(lanes_.enter(&second_));
  EXPECT_FALSE(lanes_.hand_over(call_of(2), &first_)) << "it moved";
  EXPECT_TRUE(lanes_.hand_over(call_of(4), &first_)) << "this one did not";
}

TEST_F(CallLanesTest, NothingIsPutWhereAThreadMayBlock) {
  settle();
  lanes_.set_away(&second_, true);
  EXPECT_FALSE(lanes_.hand_over(call_of(2), &first_));
  lanes_.set_away(&second_, false);
  EXPECT_TRUE(lanes_.hand_over(call_of(2), &first_));
}

TEST_F(CallLanesTest, AThreadWithNothingToDoTakesACallerOverWhereTwoWait) {
  settle();
  EXPECT_TRUE(lanes_.hand_over(call_of(2), &first_));
  EXPECT_FALSE(lanes_.steal(&first_));
  EXPECT_TRUE(lanes_.hand_over(call_of(4), &first_));
  EXPECT_EQ(tid_of(lanes_.steal(&first_)), 2);
  EXPECT_FALSE(lanes_.hand_over(call_of(2), &first_)) << "it moved";
  EXPECT_FALSE(lanes_.steal(&first_));
  EXPECT_EQ(tid_of(lanes_.next(&second_)), 4);
}

TEST_F(CallLanesTest, ALaneIsTakenFromAThreadThatTakesNoCall) {
  settle();
  EXPECT_TRUE(lanes_.hand_over(call_of(2), &first_));
  EXPECT_FALSE(lanes_.release_stuck()) << "it may have come a moment ago";
  EXPECT_EQ(tid_of(lanes_.next(&second_)), 2);
  EXPECT_TRUE(lanes_.hand_over(call_of(2), &first_));
  EXPECT_FALSE(lanes_.release_stuck()) << "one was taken meanwhile";
  EXPECT_TRUE(lanes_.release_stuck());
  EXPECT_EQ(lanes_.taken(), 1U);
  EXPECT_EQ(tid_of(lanes_.next(&third_)), 2);
  EXPECT_FALSE(lanes_.leave(&second_)) << "it has none any more";
  EXPECT_EQ(lanes_.taken(), 2U);
}

TEST_F(CallLanesTest, CallsInALaneAreBounded) {
  settle();
  for (std::size_t i = 0; i < CallLanes::kMostCalls; ++i) {
    EXPECT_TRUE(lanes_.hand_over(call_of(2), &first_));
  }
  EXPECT_FALSE(lanes_.hand_over(call_of(2), &first_));
}

TEST_F(CallLanesTest, ManyCallersBeyondThoseRememberedAreServed) {
  settle();
  int mine = 0;
  for (pid_t tid = 100; tid < 1000; ++tid) {
    if (!lanes_.hand_over(call_of(tid), &first_)) {
      ++mine;
    } else {
      EXPECT_EQ(tid_of(lanes_.next(&second_)), tid);
    }
  }
  EXPECT_GT(mine, 300);
  EXPECT_LT(mine, 600);
}

}  // namespace
}  // namespace shmvisor
