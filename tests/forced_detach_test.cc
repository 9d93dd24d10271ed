// A segment is taken out of several processes, one of which keeps whoever looks at it.
#include "supervisor/control/forced_detach.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <vector>

#include "supervisor/inject/kick_timer.h"
#include "tests/supervised_child.h"
#include "tests/unclosable_file.h"

namespace shmvisor {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kBytes = 4096;

class ForcedDetachTest : public ::testing::Test {
 protected:
  void SetUp() override {
    KickTimer::install_handler(nullptr);
    ASSERT_EQ(::ftruncate(file_.get(), kBytes), 0);
    struct stat status {};
    ASSERT_EQ(::fstat(file_.get(), &status), 0);
    identity_ = {status.st_dev, status.st_ino};
  }
  bool map() const {
    return ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0) !=
           MAP_FAILED;
  }
  std::vector<DetachedProcess> detach(std::vector<pid_t> pids) {
    return detach_by_force(std::move(pids), identity_, AccessGives::kSigsegv, features_, 1);
  }

  UniqueFd file_{::memfd_create("detached", MFD_CLOEXEC)};
  FileIdentity identity_;
  KernelFeatures features_;
};

TEST_F(ForcedDetachTest, AnExecThatDoesNotEndKeepsNobodyElse) {
  Gate mapped;
  std::unique_ptr<Child> stuck;
  FileThatCannotBeClosed files;  // ends first: before, the child cannot be killed
  if (!files.made()) GTEST_SKIP() << "no file system of our own";
  stuck = std::make_unique<Child>([&] {
    const UniqueFd file = files.open();
    if (!map()) return 1;
    mapped.open();
    ::execl("/bin/true", "true", nullptr);
    return 2;
  });
  ASSERT_TRUE(mapped.pass());
  Child other([&] {
    if (!map()) return 1;
    mapped.open();
    return ::pause();
  });
  ASSERT_TRUE(mapped.pass());
  ::usleep(300'000);  // until it is in the exec
  const auto began = steady_clock::now();
  const auto outcomes = detach({stuck->pid(), other.pid()});
  EXPECT_LT(steady_clock::now() - began, kMostForOne + std::chrono::seconds(4));
  ASSERT_EQ(outcomes.size(), 2U);
  EXPECT_EQ(outcomes[0].pid, stuck->pid());
  EXPECT_EQ(outcomes[0].unmapped.ranges, 0U);
  EXPECT_EQ(outcomes[0].trouble, "it keeps whoever looks at it");
  EXPECT_EQ(outcomes[1].pid, other.pid());
  EXPECT_EQ(outcomes[1].unmapped.ranges, 1U);
  EXPECT_EQ(outcomes[1].trouble, "");
  // The thread is there still, and no other one goes to that process.
  const auto again = steady_clock::now();
  const auto second = detach({stuck->pid(), other.pid()});
  EXPECT_LT(steady_clock::now() - again, kMostForOne);
  ASSERT_EQ(second.size(), 1U) << "the other maps it no more";
  EXPECT_EQ(second[0].pid, stuck->pid());
  EXPECT_EQ(second[0].trouble, "it keeps whoever looked at it before");
  files.end();
  EXPECT_TRUE(stuck->wait(0)) << "it was let go as it was";
}

}  // namespace
}  // namespace shmvisor
