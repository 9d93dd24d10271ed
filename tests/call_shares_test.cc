// CallShares, ServingBudget and NamespaceTurns: whose calls are served, without any being made.
#include "supervisor/serve/call_shares.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <vector>

#include "supervisor/serve/namespace_turns.h"

namespace shmvisor {
namespace {

using Admission = CallShares::Admission;

constexpr uid_t kAttacker = 65534;
constexpr uid_t kOther = 65533;
constexpr uid_t kThird = 1000;

class CallSharesTest : public ::testing::Test {
 protected:
  static constexpr int kAtOnce = 16;

  seccomp_notif call() {
    seccomp_notif notif{};
    notif.id = ++last_id_;
    return notif;
  }
  /// How many calls of the user are served of so many that it makes.
  int served_of(CallShares& shares, uid_t user, int calls) {
    int served = 0;
    for (int i = 0; i < calls; ++i) {
      served += shares.arrive(user, call()) == Admission::kServe ? 1 : 0;
    }
    return served;
  }

  ServingBudget budget_{kAtOnce};
  std::set<std::uint64_t> dead_;
  int resumes_ = 0;  ///< how often calls that are aside were said to be served soon
  CallShares shares_{budget_, 0, 1000,
                     [this](const seccomp_notif& notif) { return !dead_.contains(notif.id); },
                     [this] { ++resumes_; }};
  std::uint64_t last_id_ = 0;
};

TEST_F(CallSharesTest, OneUserLeavesAHalfToOthers) {
  EXPECT_EQ(served_of(shares_, kAttacker, 100), 9);
  EXPECT_EQ(served_of(shares_, kOther, 100), 5);
  EXPECT_EQ(served_of(shares_, kThird, 100), 3);
}

TEST_F(CallSharesTest, WhatWasPutAsideIsServedInOrderWhenAnotherIsOver) {
  EXPECT_EQ(served_of(shares_, kAttacker, 11), 9);
  for (std::uint64_t id = 10; id <= 11; ++id) {
    const auto next = shares_.leave(kAttacker);
    ASSERT_TRUE(next);
    EXPECT_EQ(next->user, kAttacker);
    EXPECT_EQ(next->call.id, id);
  }
  for (int left = 9; left > 0; --left) EXPECT_FALSE(shares_.leave(kAttacker));
  EXPECT_EQ(served_of(shares_, kAttacker, 11), 9) << "all came back";
}

TEST_F(CallSharesTest, NobodyOvertakesThoseWhoWait) {
  EXPECT_EQ(served_of(shares_, kOther, 4), 4);
  EXPECT_EQ(served_of(shares_, kAttacker, 9), 8);
  EXPECT_EQ(shares_.arrive(kAttacker, call()), Admission::kAside);
}

TEST_F(CallSharesTest, AnotherListenerHasTheSameBudgetButAlwaysRoomForOneCall) {
  CallShares second(
      budget_, 0, 1000, [](const seccomp_notif&) { return true; }, [] {});
  EXPECT_EQ(served_of(shares_, kAttacker, 100), 9);
  EXPECT_EQ(served_of(second, kAttacker, 100), 1);
  EXPECT_TRUE(second.leave(kAttacker)) << "the next one, which waits for nobody elsewhere";
}

TEST_F(CallSharesTest, UsersOfAnotherGroupAreOthers) {
  CallShares second(
      budget_, 1, 1000, [](const seccomp_notif&) { return true; }, [] {});
  EXPECT_EQ(served_of(shares_, kAttacker, 100), 9);
  EXPECT_EQ(served_of(second, kAttacker, 100), 5);
}

TEST_F(CallSharesTest, WhoeverWaitsForLongIsToldOf) {
  const auto begin = CallShares::Clock::now();
  EXPECT_EQ(served_of(shares_, kAttacker, 9), 9);
  EXPECT_EQ(shares_.arrive(kAttacker, call(), begin), Admission::kAside);
  EXPECT_EQ(shares_.arrive(kAttacker, call(), begin), Admission::kAside);
  EXPECT_EQ(shares_.arrive(kAttacker, call(), begin + CallShares::kLongWait), Admission::kStuck);
}

TEST_F(CallSharesTest, TheThreadsOfAListenerAreSharedTheSameWay) {
  CallShares few(
      budget_, 0, 4, [](const seccomp_notif&) { return true; }, [] {});
  EXPECT_EQ(served_of(few, kAttacker, 10), 2);
  EXPECT_EQ(served_of(few, kOther, 10), 1);
  EXPECT_EQ(served_of(few, kThird, 10), 1);
  EXPECT_EQ(served_of(few, 0, 10), 0) << "none is left";
  const auto next = few.leave(kAttacker);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->user, 0U) << "whoever has the fewest comes first";
  few.limit_to(0);
  EXPECT_FALSE(few.leave(0));
}

TEST_F(CallSharesTest, WhoWaitsForAnotherListenerIsResumedWhenThatGivesBack) {
  CallShares second(
      budget_, 0, 1000, [](const seccomp_notif&) { return true; }, [] {});
  EXPECT_EQ(served_of(second, kAttacker, 9), 9);
  EXPECT_EQ(served_of(shares_, kAttacker, 3), 1);
  EXPECT_FALSE(shares_.can_resume());
  EXPECT_FALSE(shares_.resume());
  EXPECT_EQ(resumes_, 0);
  EXPECT_FALSE(second.leave(kAttacker));
  EXPECT_FALSE(second.leave(kAttacker));
  EXPECT_EQ(resumes_, 1) << "told once, until it is refused again";
  ASSERT_TRUE(shares_.can_resume());
  for (std::uint64_t id = 11; id <= 12; ++id) {
    const auto next = shares_.resume();
    ASSERT_TRUE(next);
    EXPECT_EQ(next->call.id, id);
  }
  EXPECT_FALSE(shares_.can_resume()) << "none is left";
}

TEST_F(CallSharesTest, WhoWaitsForNothingIsNotTold) {
  CallShares second(
      budget_, 0, 1000, [](const seccomp_notif&) { return true; }, [] {});
  EXPECT_EQ(served_of(second, kAttacker, 9), 9);
  EXPECT_EQ(served_of(shares_, kAttacker, 2), 1);
  EXPECT_TRUE(shares_.leave(kAttacker)) << "as its first call, which needs nothing of others";
  EXPECT_FALSE(second.leave(kAttacker));
  EXPECT_EQ(resumes_, 0);
}

TEST_F(CallSharesTest, MoreThreadsResumeThoseWhoWait) {
  shares_.limit_to(2);
  EXPECT_EQ(served_of(shares_, kAttacker, 3), 1);
  EXPECT_FALSE(shares_.can_resume());
  shares_.limit_to(1);
  EXPECT_EQ(resumes_, 0);
  shares_.limit_to(8);
  EXPECT_EQ(resumes_, 1);
  EXPECT_TRUE(shares_.can_resume());
  EXPECT_TRUE(shares_.resume());
  EXPECT_TRUE(shares_.resume());
  EXPECT_FALSE(shares_.resume());
}

TEST_F(CallSharesTest, WhoMayNotStandsInTheWayOfNobody) {
  // The attacker has all of its share elsewhere, and one call in service here.
  CallShares second(
      budget_, 0, 1000, [](const seccomp_notif&) { return true; }, [] {});
  EXPECT_EQ(served_of(second, kAttacker, 9), 9);
  EXPECT_EQ(served_of(shares_, kAttacker, 2), 1);
  EXPECT_EQ(served_of(shares_, kOther, 100), 5);
  // The other one has more calls in service here, but may have one more.
  const auto next = shares_.leave(kOther);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->user, kOther);
}

TEST_F(CallSharesTest, OfEachUserOnlySoManyArePutAside) {
  EXPECT_EQ(served_of(shares_, kAttacker, 9), 9);
  // All at once: calls that wait for long are told of.
  const auto now = CallShares::Clock::now();
  for (std::size_t i = 0; i < CallShares::kMostWaitingOfUser; ++i) {
    ASSERT_EQ(shares_.arrive(kAttacker, call(), now), Admission::kAside);
  }
  EXPECT_EQ(shares_.arrive(kAttacker, call(), now), Admission::kRefused);
  EXPECT_EQ(shares_.arrive(kOther, call(), now), Admission::kServe);
  // Those whose callers died make room, before long.
  for (std::uint64_t id = 10; id <= 1000; ++id) dead_.insert(id);
  bool accepted = false;
  for (std::size_t i = 0; i < CallShares::kMostWaitingOfUser && !accepted; ++i) {
    accepted = shares_.arrive(kAttacker, call(), now) == Admission::kAside;
  }
  EXPECT_TRUE(accepted);
  const auto next = shares_.leave(kAttacker);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->call.id, 1001U);
}

// Root of a container has as many users as it likes, and others need room too.
TEST_F(CallSharesTest, AListenerLeavesRoomToOthersWhateverUsersItHas) {
  std::size_t room = 40;
  CallShares shares(
      budget_, 0, 1, [this](const seccomp_notif& notif) { return !dead_.contains(notif.id); },
      [] {}, CallShares::kMostWaitingOfUser, [&room] { return room; });
  EXPECT_EQ(shares.arrive(1, call()), Admission::kServe);
  int aside = 0;
  for (uid_t user = 2; user < 100; ++user) {
    if (shares.arrive(user, call()) != Admission::kAside) continue;
    ++aside;
    --room;
  }
  EXPECT_EQ(aside, 20);
  EXPECT_EQ(shares.arrive(100, call()), Admission::kRefused);
  // Those of others that are gone make room.
  for (std::uint64_t id = 2; id <= 6; ++id) dead_.insert(id);
  EXPECT_EQ(shares.arrive(101, call()), Admission::kAside);
}

TEST(NamespaceTurnsTest, OfAUserAFewHaveATurnAndOthersFollow) {
  NamespaceTurns turns(100, [] { return std::size_t{1000}; });
  std::uint64_t last_id = 0;
  const auto enter = [&](uid_t user) {
    seccomp_notif call{};
    call.id = ++last_id;
    return turns.enter(user, call);
  };
  for (int i = 0; i < NamespaceTurns::kMostOfUser; ++i) EXPECT_TRUE(enter(kAttacker));
  EXPECT_FALSE(enter(kAttacker));
  EXPECT_FALSE(enter(kAttacker));
  EXPECT_TRUE(enter(kOther)) << "another user's";
  EXPECT_FALSE(turns.leave(kOther));
  EXPECT_EQ(turns.leave(kAttacker)->id, 5U);
  EXPECT_EQ(turns.leave(kAttacker)->id, 6U);
  for (int i = 0; i < NamespaceTurns::kMostOfUser; ++i) EXPECT_FALSE(turns.leave(kAttacker));
  EXPECT_TRUE(enter(kAttacker));
}

TEST(NamespaceTurnsTest, AThreadThatMustEndLeavesTheRestToAnother) {
  NamespaceTurns turns(100, [] { return std::size_t{1000}; });
  for (int i = 0; i < NamespaceTurns::kMostOfUser; ++i) EXPECT_TRUE(turns.enter(kAttacker, {}));
  seccomp_notif call{};
  call.id = 7;
  EXPECT_FALSE(turns.enter(kAttacker, call));
  EXPECT_FALSE(turns.has_next()) << "those that have a turn go on with it";
  for (int i = 0; i < NamespaceTurns::kMostOfUser; ++i) {
    EXPECT_FALSE(turns.leave(kAttacker, NamespaceTurns::Successor::kAnother));
  }
  ASSERT_TRUE(turns.has_next());
  const auto next = turns.next();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->user, kAttacker);
  EXPECT_EQ(next->call.id, 7U);
  EXPECT_FALSE(turns.next());
  EXPECT_FALSE(turns.leave(kAttacker));
  EXPECT_TRUE(turns.enter(kAttacker, call)) << "all turns are over";
}

TEST(NamespaceTurnsTest, WhereTooManyWaitFurtherOnesDoNot) {
  constexpr std::size_t kWaiting = 100;
  NamespaceTurns turns(kWaiting, [] { return std::size_t{1000}; });
  constexpr std::size_t kBeyond = 3;
  std::size_t entered = 0;
  for (std::size_t i = 0; i < NamespaceTurns::kMostOfUser + kWaiting + kBeyond; ++i) {
    entered += turns.enter(kAttacker, {}) ? 1 : 0;
  }
  EXPECT_EQ(entered, NamespaceTurns::kMostOfUser + kBeyond);
  for (std::size_t i = 0; i < kBeyond; ++i) EXPECT_FALSE(turns.leave(kAttacker));
  for (std::size_t i = 0; i < kWaiting; ++i) EXPECT_TRUE(turns.leave(kAttacker));
  EXPECT_FALSE(turns.leave(kAttacker));
}

TEST(NamespaceTurnsTest, CallsOfAllUsersLeaveRoomForOtherCalls) {
  std::size_t room = 40;
  NamespaceTurns turns(100, [&room] { return room; });
  std::size_t waiting = 0;
  for (uid_t user = 0; user < 50; ++user) {
    for (int i = 0; i < NamespaceTurns::kMostOfUser + 1; ++i) {
      if (turns.enter(user, {})) continue;
      ++waiting;
      --room;
    }
  }
  EXPECT_EQ(waiting, 20);
  EXPECT_FALSE(turns.leave(49)) << "it has a turn of its own, beyond those of others";
  EXPECT_TRUE(turns.leave(0));
  EXPECT_FALSE(turns.enter(0, {})) << "whoever waits no more has left room";
}

}  // namespace
}  // namespace shmvisor
