#include "emulation/syscalls/reply.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <shared_mutex>
#include <string>
#include <thread>

namespace shmvisor {
namespace {

/// Passes when another thread can take the lock. RwLock has no try_lock, so one that stays held can
/// only end the whole program.
void expect_free(RwLock& lock) {
  const auto taken = std::async(std::launch::async, [&lock] { const std::shared_lock held(lock); });
  if (taken.wait_for(std::chrono::seconds(30)) == std::future_status::ready) return;
  std::fputs("the lock is still held\n", stderr);
  std::abort();
}

TEST(ReplyTest, ValuesAndErrnos) {
  EXPECT_EQ(Reply(7).value(), 7);
  EXPECT_EQ(Reply(Errno(EINVAL)).value(), -EINVAL);
  EXPECT_EQ(Reply(std::int64_t{0x7f1234567000}).value(), 0x7f1234567000);
}

TEST(ReplyTest, AnAnswerWithoutAChangeCanBeCommitted) {
  Reply reply(3);
  reply.commit();
  reply.commit();
  EXPECT_EQ(reply.value(), 3);
}

TEST(ReplyTest, TheChangeComesWithTheCommitAndOnce) {
  RwLock lock;
  int changes = 0;
  Reply reply(5, std::unique_lock(lock), [&] { ++changes; });
  EXPECT_EQ(changes, 0);
  reply.commit();
  EXPECT_EQ(changes, 1);
  reply.commit();
  EXPECT_EQ(changes, 1);
}

TEST(ReplyTest, TheChangeIsMadeUnderTheLockAndFreesIt) {
  RwLock lock;
  std::string order;
  Reply reply(5, std::unique_lock(lock), [&] { order += "change "; });
  std::thread other([&] {
    const std::shared_lock held(lock);
    order += "other";
  });
  reply.commit();
  other.join();
  EXPECT_EQ(order, "change other");
}

TEST(ReplyTest, DroppedItChangesNothingAndFreesTheLock) {
  RwLock lock;
  int changes = 0;
  {
    const Reply reply(5, std::unique_lock(lock), [&] { ++changes; });
  }
  EXPECT_EQ(changes, 0);
  expect_free(lock);
}

// What the change holds must not outlive the lock that protects it.
TEST(ReplyTest, DroppedItLetsGoOfWhatTheChangeHolds) {
  RwLock lock;
  auto object = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = object;
  {
    const Reply reply(5, std::unique_lock(lock), [object] { ++*object; });
  }
  EXPECT_EQ(*object, 1);
  object.reset();
  EXPECT_TRUE(watch.expired());
}

TEST(ReplyTest, MovedItIsCommittedOnce) {
  RwLock lock;
  int changes = 0;
  Reply first(5, std::unique_lock(lock), [&] { ++changes; });
  Reply second = std::move(first);
  second.commit();
  EXPECT_EQ(changes, 1);
  EXPECT_EQ(second.value(), 5);
  expect_free(lock);
}

}  // namespace
}  // namespace shmvisor
