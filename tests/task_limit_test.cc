#include "supervisor/resources/task_limit.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

namespace shmvisor {
namespace {

TEST(TaskLimitTest, IsWhatGetrlimitSays) {
  rlimit files{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  ASSERT_GT(files.rlim_max, 3U);
  const rlimit lower{3, files.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &lower), 0);
  // Reading it takes a descriptor itself, for which 0, 1 and 2 leave no room.
  EXPECT_EQ(TaskLimit::read(getpid(), "Max open files").error(), Errno(EMFILE));
  const rlimit some{20, files.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &some), 0);
  const auto limit = TaskLimit::read(getpid(), "Max open files");
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->soft, 20U);
  EXPECT_EQ(limit->hard, files.rlim_max);
}

TEST(TaskLimitTest, Unlimited) {
  const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
  if (setrlimit(RLIMIT_CORE, &none) != 0) GTEST_SKIP() << "a hard limit that cannot be raised";
  const auto limit = TaskLimit::read(getpid(), "Max core file size");
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->soft, TaskLimit::kUnlimited);
  EXPECT_EQ(limit->hard, TaskLimit::kUnlimited);
}

TEST(TaskLimitTest, WhatIsNotThere) {
  EXPECT_EQ(TaskLimit::read(getpid(), "Max good ideas").error(), Errno(EINVAL));
  EXPECT_EQ(TaskLimit::read(0x7fffffff, "Max open files").error(), Errno(ESRCH));
}

}  // namespace
}  // namespace shmvisor
