#include "supervisor/notify/expected_calls.h"

#include <gtest/gtest.h>

#include <thread>

namespace shmvisor {
namespace {

seccomp_notif call_of(pid_t tid, std::uint64_t id) {
  seccomp_notif notif{};
  notif.pid = static_cast<unsigned>(tid);
  notif.id = id;
  return notif;
}

TEST(ExpectedCallsTest, NothingIsClaimedThatNobodyExpects) {
  ExpectedCalls calls([] {});
  EXPECT_FALSE(calls.claim(call_of(1, 10)));
  calls.expect(1);
  EXPECT_FALSE(calls.claim(call_of(2, 10)));
  EXPECT_TRUE(calls.claim(call_of(1, 11)));
  EXPECT_EQ(calls.await(1), 11U);
  EXPECT_FALSE(calls.claim(call_of(1, 12))) << "expected once";
}

TEST(ExpectedCallsTest, TheCallMayComeLater) {
  ExpectedCalls calls([] {});
  calls.expect(1);
  std::thread receiver([&] { EXPECT_TRUE(calls.claim(call_of(1, 5))); });
  EXPECT_EQ(calls.await(1), 5U);
  receiver.join();
}

TEST(ExpectedCallsTest, SeveralAtATime) {
  ExpectedCalls calls([] {});
  calls.expect(1);
  calls.expect(2);
  EXPECT_TRUE(calls.claim(call_of(2, 20)));
  EXPECT_TRUE(calls.claim(call_of(1, 10)));
  EXPECT_EQ(calls.await(1), 10U);
  EXPECT_EQ(calls.await(2), 20U);
}

TEST(ExpectedCallsTest, ACallThatDoesNotComeIsGivenUp) {
  ExpectedCalls calls([] {});
  calls.expect(1);
  EXPECT_EQ(calls.await(1), std::nullopt);
  EXPECT_FALSE(calls.claim(call_of(1, 10)));
}

}  // namespace
}  // namespace shmvisor
