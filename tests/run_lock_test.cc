#include "supervisor/join/run_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>
#include <thread>
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

// A database that root has started once, and that its own user is to start from then on.
TEST_F(RunLockTest, OfRootIsTheFolderOwners) {
  if (::geteuid() != 0) GTEST_SKIP() << "makes files of other users";
  constexpr uid_t kOwner = 65533;
  const std::string file = path_ + ".lock";
  const std::string folder = file.substr(0, file.rfind('/'));
  ASSERT_EQ(::chown(folder.c_str(), kOwner, kOwner), 0);
  const RunLock roots = lock();
  struct stat status {};
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, kOwner);
  EXPECT_TRUE(roots.share());
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setuid(kOwner) != 0) ::_exit(2);
    const auto owners = RunLock::at(path_);
    ::_exit(owners && owners->share() && !owners->try_alone() ? 0 : 1);
  }
  int ended = 0;
  ASSERT_EQ(::waitpid(child, &ended, 0), child);
  EXPECT_EQ(ended, 0);
}

// The owner of a folder above has the path lead to a folder of root's and to one of its own in
// turn.
TEST_F(RunLockTest, OfRootIsNobodyElsesInRootsFolder) {
  if (::geteuid() != 0) GTEST_SKIP() << "makes files of other users";
  constexpr uid_t kOwner = 65533;
  const std::string roots = folder_.path("roots");
  const std::string theirs = folder_.path("theirs");
  const std::string link = folder_.path("link");
  ASSERT_EQ(::mkdir(roots.c_str(), 0755), 0);
  ASSERT_EQ(::mkdir(theirs.c_str(), 0755), 0);
  ASSERT_EQ(::chown(theirs.c_str(), kOwner, kOwner), 0);
  ASSERT_EQ(::symlink(roots.c_str(), link.c_str()), 0);
  std::atomic<bool> over = false;
  std::thread exchanging([&] {
    while (!over) ::renameat2(AT_FDCWD, link.c_str(), AT_FDCWD, theirs.c_str(), RENAME_EXCHANGE);
  });
  int made = 0;
  int given = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (made < 3000 && std::chrono::steady_clock::now() < deadline) {
    (void)RunLock::at(theirs + "/socket");
    struct stat status {};
    const std::string file = roots + "/socket.lock";
    if (::stat(file.c_str(), &status) == 0) {
      ++made;
      if (status.st_uid != 0) ++given;
      (void)::unlink(file.c_str());
    }
    for (const std::string& way : {link, theirs}) (void)::unlink((way + "/socket.lock").c_str());
  }
  over = true;
  exchanging.join();
  EXPECT_NE(made, 0);
  EXPECT_EQ(given, 0) << "of " << made;
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
