// The child that mounts files for an IPC namespace: what it leaves alone, and that it can be lost.
#include "supervisor/procfiles/covering_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

namespace shmvisor {
namespace {

using std::chrono::milliseconds;

UniqueFd opened(const char* path) { return UniqueFd(::open(path, O_RDONLY | O_CLOEXEC)); }

class CoveringProcessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root may enter a mount namespace";
  }

  /// Of our own namespaces, where nothing of ours is mounted.
  static std::shared_ptr<CoveringProcess> of(UniqueFd mounts, UniqueFd user = UniqueFd()) {
    return CoveringProcess::make(
        {std::move(user), std::move(mounts), opened("/proc/self/ns/ipc"), opened("/proc")}, {}, {},
        {});
  }
  static std::optional<int> status_of(const std::shared_ptr<CoveringProcess>& child) {
    std::thread thread([child] { child->run(); });
    const auto status = child->wait(milliseconds(20000));
    thread.join();
    return status;
  }
};

TEST_F(CoveringProcessTest, LeavesWhatIsOurs) {
  std::array<char, 4096> folder{};
  ASSERT_NE(::getcwd(folder.data(), folder.size()), nullptr);
  const UniqueFd file = opened("/dev/null");
  const auto child = of(opened("/proc/self/ns/mnt"));
  ASSERT_NE(child, nullptr);
  EXPECT_EQ(status_of(child), 0);
  EXPECT_EQ(child->report().covered, 0U);
  EXPECT_EQ(child->report().made_count, 0U);
  // It closed its own descriptors, and went elsewhere by itself.
  EXPECT_GE(::fcntl(file.get(), F_GETFD), 0);
  std::array<char, 4096> now{};
  ASSERT_NE(::getcwd(now.data(), now.size()), nullptr);
  EXPECT_STREQ(now.data(), folder.data());
  EXPECT_EQ(::waitpid(-1, nullptr, __WALL | WNOHANG), -1) << "it is reaped";
}

TEST_F(CoveringProcessTest, TellsWhyItCouldNot) {
  EXPECT_EQ(status_of(of(opened("/dev/null"))), EINVAL);
  // By a copy of our memory.
  EXPECT_EQ(status_of(of(opened("/proc/self/ns/mnt"), opened("/dev/null"))), EINVAL);
}

TEST_F(CoveringProcessTest, OneThatIsGivenUpBeforeItBeginsDoesNothing) {
  const auto child = of(opened("/proc/self/ns/mnt"));
  EXPECT_EQ(child->wait(milliseconds(1)), std::nullopt);
  EXPECT_FALSE(child->has_ended());
  std::thread thread([child] { child->run(); });
  thread.join();
  EXPECT_TRUE(child->has_ended());
  EXPECT_EQ(child->wait(milliseconds(1)), ECANCELED);
}

/// Nobody keeps a namespace alive by having looked after it.
TEST_F(CoveringProcessTest, KeepsNoDescriptorBehindItsEnd) {
  const auto child = of(UniqueFd(::fcntl(opened("/proc/self/ns/mnt").get(), F_DUPFD_CLOEXEC, 500)));
  EXPECT_EQ(status_of(child), 0);
  EXPECT_EQ(::fcntl(500, F_GETFD), -1);
}

}  // namespace
}  // namespace shmvisor
