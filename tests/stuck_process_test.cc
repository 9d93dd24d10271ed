// A process in an exec that does not end: what can be read of it all the same, and at once. The
// exec closes a file of a file system that does not answer.
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "supervisor/credentials/accountable_user.h"
#include "supervisor/credentials/thread_identity.h"
#include "supervisor/credentials/thread_namespace.h"
#include "supervisor/kernel/file_inode.h"
#include "supervisor/procfs/proc_file.h"
#include "tests/supervised_child.h"
#include "tests/unclosable_file.h"

namespace shmvisor {
namespace {

using std::chrono::milliseconds;

constexpr uid_t kAnotherUser = 1000;
constexpr milliseconds kSoon(5000);
constexpr milliseconds kLongEnough(200);

/// Whether this kernel gives namespaces by pidfd.
bool is_linux_6_11() {
  utsname name{};
  int major = 0;
  int minor = 0;
  return ::uname(&name) == 0 && std::sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
         std::pair(major, minor) >= std::pair(6, 11);
}

/// In a child, since it may not end.
bool ends_within(milliseconds bound, const std::function<void()>& look) {
  Child looking([&] {
    look();
    return 0;
  });
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, looking.pid(), 0)));
  pollfd ended{pidfd.get(), POLLIN, 0};
  return ::poll(&ended, 1, static_cast<int>(bound.count())) == 1;
}

class StuckProcessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!files_.made()) GTEST_SKIP() << "no file system of our own";
    (void)NamespaceIds::ours();
    stuck_ = std::make_unique<Child>([this] {
      if (::syscall(SYS_setresuid, kAnotherUser, kAnotherUser, kAnotherUser) != 0) return 1;
      ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
      const UniqueFd file = files_.open();
      ::execl("/bin/true", "true", nullptr);
      return 2;
    });
    const auto deadline = std::chrono::steady_clock::now() + kSoon;
    while (ends_within(kLongEnough, [this] { (void)read_proc_file(pid(), "maps"); })) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "it is not stuck";
    }
  }

  [[nodiscard]] pid_t pid() const { return stuck_->pid(); }

  std::unique_ptr<Child> stuck_;
  FileThatCannotBeClosed files_;  ///< ends first: before, the child cannot be killed
};

// proc_file.cc: these may be read with a lock held.
TEST_F(StuckProcessTest, FilesThatWaitForNobodyAreReadAtOnce) {
  for (const char* name : {"status", "limits", "uid_map", "gid_map", "schedstat"}) {
    EXPECT_TRUE(ends_within(kSoon, [&] { (void)read_proc_file(pid(), name); })) << name;
  }
}

TEST_F(StuckProcessTest, ItsNamespacesAreFoundAtOnce) {
  if (!is_linux_6_11()) GTEST_SKIP() << "no namespaces by pidfd";
  for (const Namespace which :
       {Namespace::kIpc, Namespace::kUser, Namespace::kPid, Namespace::kMount}) {
    EXPECT_TRUE(ends_within(kSoon, [&] { (void)open_namespace(pid(), which); }));
    EXPECT_TRUE(ends_within(kSoon, [&] { (void)namespace_inode(pid(), which); }));
  }
  EXPECT_EQ(namespace_inode(pid(), Namespace::kIpc), NamespaceIds::ours().ipc);
}

// What the main loop asks of whoever connects to it, on any kernel.
TEST_F(StuckProcessTest, ItsUserIsToldAtOnce) {
  ASSERT_TRUE(ends_within(kSoon, [&] { (void)accountable_user_at_once(pid(), kAnotherUser); }));
  EXPECT_EQ(accountable_user_at_once(pid(), kAnotherUser), kAnotherUser);
  ASSERT_TRUE(ends_within(kSoon, [&] { (void)is_in_another_user_namespace(pid()); }));
  EXPECT_EQ(is_in_another_user_namespace(pid()).value_or(true), false);
}

TEST(AccountableUserTest, OfAnotherUserNamespaceItsMakerIsCharged) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  Gate made;
  const Child child([&] {
    if (::syscall(SYS_setresuid, kAnotherUser, kAnotherUser, kAnotherUser) != 0) return 1;
    if (::unshare(CLONE_NEWUSER) != 0) return 1;
    made.open();
    return ::pause();
  });
  if (!made.pass()) GTEST_SKIP() << "no user namespace for an ordinary user";
  constexpr uid_t kOneOfMany = 100000;
  const auto user = accountable_user_at_once(child.pid(), kOneOfMany);
  EXPECT_EQ(user, is_linux_6_11() ? std::optional(kAnotherUser) : std::nullopt);
  EXPECT_EQ(is_in_another_user_namespace(child.pid()).value_or(false), true);
  EXPECT_EQ(accountable_user_at_once(child.pid(), 0), 0U);
}

TEST(AccountableUserTest, InOurUserNamespaceEachIsItself) {
  EXPECT_EQ(accountable_user_at_once(::getpid(), kAnotherUser), kAnotherUser);
  EXPECT_EQ(is_in_another_user_namespace(::getpid()).value_or(true), false);
}

TEST(ThreadNamespaceTest, BothWaysFindTheSame) {
  for (const Namespace which :
       {Namespace::kIpc, Namespace::kUser, Namespace::kPid, Namespace::kMount}) {
    const auto in_proc = open_namespace_in_proc(gettid(), which);
    ASSERT_TRUE(in_proc);
    EXPECT_EQ(namespace_inode(gettid(), which), inode_of(*in_proc));
    const auto by_pidfd = open_namespace_by_pidfd(gettid(), which);
    if (!is_linux_6_11() && by_pidfd.error() == Errno(EOPNOTSUPP)) continue;
    ASSERT_TRUE(by_pidfd) << "errno " << by_pidfd.error().value();
    EXPECT_EQ(inode_of(*by_pidfd), inode_of(*in_proc));
  }
}

TEST(ThreadNamespaceTest, NoThread) {
  constexpr pid_t kNobody = 0x3fffffff;
  EXPECT_EQ(namespace_inode(kNobody, Namespace::kIpc), 0U);
  EXPECT_EQ(open_namespace(kNobody, Namespace::kIpc).error(), Errno(ESRCH));
  // 0 stands for one outside of our pid namespace; others are found afterwards as before.
  EXPECT_EQ(open_namespace(0, Namespace::kIpc).error(), Errno(ESRCH));
  EXPECT_EQ(open_namespace_by_pidfd(gettid(), Namespace::kIpc).ok(), is_linux_6_11());
}

}  // namespace
}  // namespace shmvisor
