#include "supervisor/join/run_lock.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <utility>

#include "tests/scratch_folder.h"

namespace shmvisor {
namespace {

class RunLockTest : public testing::Test {
 protected:
  [[nodiscard]] RunLock lock() const {
    auto opened = RunLock::at(path_);
    EXPECT_TRUE(opened) << "errno " << opened.error().value();
    return std::move(*opened);
  }

  const ScratchFolder folder_;
  const std::string path_ = folder_.path("socket");
};

TEST_F(RunLockTest, ManyShareWhatNobodyHasAloneThen) {
  const RunLock first = lock();
  EXPECT_TRUE(first.try_alone());
  const RunLock second = lock();
  EXPECT_FALSE(second.share());
  EXPECT_TRUE(first.share());
  EXPECT_TRUE(second.share());
  EXPECT_FALSE(first.try_alone());
  second.drop();
  EXPECT_TRUE(first.try_alone());
}

TEST_F(RunLockTest, IsNobodyElses) {
  (void)lock();
  struct stat status {};
  ASSERT_EQ(::stat((path_ + ".lock").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

// As in /tmp: anybody makes files there, and removes its own.
TEST_F(RunLockTest, IsNoStrangersFile) {
  if (::geteuid() != 0) GTEST_SKIP() << "makes files of other users";
  constexpr uid_t kStranger = 65534;
  const std::string file = path_ + ".lock";
  const std::string folder = file.substr(0, file.rfind('/'));
  ASSERT_EQ(::chmod(folder.c_str(), 01777), 0);
  (void)lock();
  (void)lock();  // it is there now
  ASSERT_EQ(::chown(file.c_str(), kStranger, kStranger), 0);
  const auto opened = RunLock::at(path_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error(), Errno(EPERM));
  // In a folder of its own it might do the same to any other file.
  ASSERT_EQ(::chown(folder.c_str(), kStranger, kStranger), 0);
  EXPECT_TRUE(RunLock::at(path_));
}

TEST_F(RunLockTest, IsARegularFile) {
  const std::string file = path_ + ".lock";
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  ::alarm(60);  // who opens it may wait for ever
  const auto opened = RunLock::at(path_);
  ::alarm(0);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error(), Errno(EINVAL));
  ASSERT_EQ(::unlink(file.c_str()), 0);
  ASSERT_EQ(::mkdir(file.c_str(), 0700), 0);
  EXPECT_FALSE(RunLock::at(path_));
}

TEST_F(RunLockTest, IsHeldByWhatAKilledOneLeaves) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const RunLock shared = lock();
    (void)shared.share();
    shared.bequeath();
    // An exec later it has the lock still.
    if (::fork() == 0) {
      ::dup2(ends[0], STDIN_FILENO);
      ::close(ends[1]);
      ::execl("/bin/sh", "sh", "-c", "read -r line", nullptr);
    }
    ::raise(SIGKILL);
  }
  ::close(ends[0]);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  const RunLock later = lock();
  EXPECT_FALSE(later.try_alone());
  ::close(ends[1]);
  bool alone = false;
  for (int tries = 0; tries < 1000 && !alone; ++tries) {
    ::usleep(10'000);
    alone = later.try_alone();
  }
  EXPECT_TRUE(alone);
}

}  // namespace
}  // namespace shmvisor
