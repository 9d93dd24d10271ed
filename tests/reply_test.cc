#include "emulation/syscalls/reply.h"

#include <gtest/gtest.h>

namespace shmvisor {
namespace {

TEST(ReplyTest, ValuesAndErrnos) {
  EXPECT_EQ(Reply(7).value(), 7);
  EXPECT_EQ(Reply(Errno(EINVAL)).value(), -EINVAL);
  EXPECT_EQ(Reply(std::int64_t{0x7f1234567000}).value(), 0x7f1234567000);
}

TEST(ReplyTest, WhatIsLeftToTheCallerCanBeTakenBack) {
  EXPECT_FALSE(Reply(7).undo());
  int undone = 0;
  const auto undo = Reply::completed_by_caller([&] { ++undone; }).undo();
  ASSERT_TRUE(undo);
  EXPECT_EQ(undone, 0) << "only if it is asked for";
  undo();
  EXPECT_EQ(undone, 1);
}

}  // namespace
}  // namespace shmvisor
