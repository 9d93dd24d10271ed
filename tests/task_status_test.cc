#include "supervisor/procfs/task_status.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/ptrace.h>

#include <thread>

#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

std::uint64_t effective_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  EXPECT_EQ(::syscall(SYS_capget, &header, data.data()), 0);
  return std::uint64_t{data[1].effective} << 32 | data[0].effective;
}

TEST(TaskStatusTest, Ourselves) {
  const auto status = TaskStatus::read(getpid());
  ASSERT_TRUE(status);
  EXPECT_EQ(status->tgid, getpid());
  EXPECT_EQ(status->ppid, getppid());
  EXPECT_EQ(status->uid, getuid());
  EXPECT_EQ(status->euid, geteuid());
  EXPECT_EQ(status->egid, getegid());
  std::vector<gid_t> groups(static_cast<std::size_t>(::getgroups(0, nullptr)));
  ASSERT_GE(::getgroups(static_cast<int>(groups.size()), groups.data()), 0);
  std::sort(groups.begin(), groups.end());
  EXPECT_EQ(status->groups, groups);
  EXPECT_EQ(status->effective_capabilities, effective_capabilities());
}

TEST(TaskStatusTest, AThreadBelongsToItsProcess) {
  std::thread([] {
    const auto status = TaskStatus::read(gettid());
    ASSERT_TRUE(status);
    EXPECT_EQ(status->tgid, getpid());
    EXPECT_NE(gettid(), getpid());
  }).join();
}

TEST(TaskStatusTest, EveryIdFromItsOwnColumn) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can change its ids";
  Gate ready;
  Child child([&] {
    const std::array<gid_t, 3> groups{500, 70000, 6};
    if (::setgroups(groups.size(), groups.data()) != 0) return 1;
    if (::setresgid(10, 11, 12) != 0 || ::setresuid(20, 21, 22) != 0) return 2;
    ::setfsgid(12);
    ready.open();
    ::pause();
    return 0;
  });
  ASSERT_TRUE(ready.pass());
  const auto status = TaskStatus::read(child.pid());
  ASSERT_TRUE(status);
  EXPECT_EQ(status->ppid, getpid());
  EXPECT_EQ(status->uid, 20U);
  EXPECT_EQ(status->euid, 21U);
  EXPECT_EQ(status->egid, 11U);
  EXPECT_EQ(status->fsgid, 12U);
  EXPECT_EQ(status->groups, (std::vector<gid_t>{6, 500, 70000}));
  EXPECT_EQ(status->effective_capabilities, 0U);
}

TEST(TaskStatusTest, TheTracer) {
  Child child([] { return ::pause(); });
  EXPECT_EQ(TaskStatus::read(child.pid())->tracer_pid, 0);
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, child.pid(), 0, 0), 0);
  EXPECT_EQ(TaskStatus::read(child.pid())->tracer_pid, getpid());
}

// /proc escapes the newline of a name that pretends to be the next field.
TEST(TaskStatusTest, ANameThatLies) {
  Gate ready;
  Child child([&] {
    ::prctl(PR_SET_NAME, "a\nTgid:\t1\n");
    ready.open();
    return ::pause();
  });
  ASSERT_TRUE(ready.pass());
  EXPECT_EQ(TaskStatus::read(child.pid())->tgid, child.pid());
}

TEST(TaskStatusTest, GoneIsEsrch) {
  Child child([] { return 0; });
  const pid_t pid = child.pid();
  EXPECT_EQ(exit_status_of(child), 0);
  const auto status = TaskStatus::read(pid);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error(), Errno(ESRCH));
}

}  // namespace
}  // namespace shmvisor
