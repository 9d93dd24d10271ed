#include "supervisor/process/descendant_scope.h"

#include <linux/sched.h>

#include <algorithm>
#include <cstdint>

#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

/// By PIDFD_GET_INFO, and by what /proc says.
class DescendantScopeTest : public ::testing::TestWithParam<bool> {
 protected:
  DescendantScopeTest() {
    if (!GetParam()) features_.absent(KernelFeature::kPidfdGetInfo);
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  }
  ~DescendantScopeTest() override {
    const DescendantScope ours(features_);
    for (const pid_t pid : ours.processes()) ::kill(pid, SIGKILL);
    while (::waitpid(-1, nullptr, __WALL) > 0) {
    }
  }

  static bool holds(const DescendantScope& scope, pid_t pid) {
    const auto pids = scope.processes();
    return std::count(pids.begin(), pids.end(), pid) == 1;
  }
  /// A child that has a child of its own, `grandchild_`.
  Child family() {
    return Child([this] {
      const pid_t pid = ::fork();
      if (pid == 0) {
        for (;;) ::pause();
      }
      *grandchild_ = pid;
      ready_.open();
      return ::pause();
    });
  }

  KernelFeatures features_;
  SharedPage<pid_t> grandchild_;
  Gate ready_;
};

TEST_P(DescendantScopeTest, ChildrenOfChildrenBelong) {
  const Child child = family();
  ASSERT_TRUE(ready_.pass());
  const DescendantScope ours(features_);
  EXPECT_TRUE(holds(ours, child.pid()));
  EXPECT_TRUE(holds(ours, *grandchild_));
  EXPECT_FALSE(holds(ours, getpid()));
  EXPECT_FALSE(holds(ours, getppid()));
}

TEST_P(DescendantScopeTest, OneThatEndedBelongsUntilItIsReaped) {
  Child child([] { return 0; });
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT), 0);
  const DescendantScope ours(features_);
  EXPECT_TRUE(holds(ours, child.pid()));
  EXPECT_EQ(exit_status_of(child), 0);
  EXPECT_FALSE(holds(ours, child.pid()));
}

TEST_P(DescendantScopeTest, ASessionOfItsOwnBelongs) {
  const Child child([this] {
    ::setsid();
    const pid_t pid = ::fork();
    if (pid == 0) {
      for (;;) ::pause();
    }
    *grandchild_ = pid;
    ready_.open();
    return ::pause();
  });
  ASSERT_TRUE(ready_.pass());
  const DescendantScope ours(features_);
  EXPECT_TRUE(holds(ours, child.pid()));
  EXPECT_TRUE(holds(ours, *grandchild_));
}

TEST_P(DescendantScopeTest, OnlyThoseBelowTheRoot) {
  const Child child = family();
  const Child stranger([] { return ::pause(); });
  ASSERT_TRUE(ready_.pass());
  const auto below = DescendantScope::of_others(features_);
  EXPECT_TRUE(below->processes().empty());
  const auto root = below->add_root(child.pid());
  EXPECT_TRUE(holds(*below, *grandchild_));
  EXPECT_FALSE(holds(*below, child.pid()));
  EXPECT_FALSE(holds(*below, stranger.pid()));
  below->remove_root(root);
  EXPECT_TRUE(below->processes().empty());
}

TEST_P(DescendantScopeTest, BelowAnyOfSeveralRootsAndOnceEach) {
  const Child child = family();
  ASSERT_TRUE(ready_.pass());
  const pid_t first = *grandchild_;
  Gate other_ready;
  const Child other([&] {
    const pid_t pid = ::fork();
    if (pid == 0) {
      for (;;) ::pause();
    }
    *grandchild_ = pid;
    other_ready.open();
    return ::pause();
  });
  ASSERT_TRUE(other_ready.pass());
  const auto below = DescendantScope::of_others(features_);
  const auto root = below->add_root(child.pid());
  below->add_root(child.pid());
  below->add_root(other.pid());
  EXPECT_TRUE(holds(*below, first));
  EXPECT_TRUE(holds(*below, *grandchild_));
  below->remove_root(root);
  EXPECT_TRUE(holds(*below, first)) << "it was added twice";
}

TEST_P(DescendantScopeTest, EverybodyOnceTheRootHasEnded) {
  Child child = family();
  ASSERT_TRUE(ready_.pass());
  const auto below = DescendantScope::of_others(features_);
  const auto root = below->add_root(child.pid());
  ::kill(child.pid(), SIGKILL);
  ASSERT_TRUE(child.wait(0));
  EXPECT_TRUE(holds(*below, *grandchild_));
  EXPECT_TRUE(holds(*below, getpid()));
  below->remove_root(root);
  EXPECT_TRUE(below->processes().empty());
}

TEST_P(DescendantScopeTest, WhoIsBornAfterALookBelongs) {
  const DescendantScope ours(features_);
  EXPECT_FALSE(holds(ours, getpid()));
  const Child child = family();
  ASSERT_TRUE(ready_.pass());
  for (int look = 0; look < 3; ++look) {
    EXPECT_TRUE(holds(ours, child.pid()));
    EXPECT_TRUE(holds(ours, *grandchild_));
  }
}

TEST_P(DescendantScopeTest, AStrangerBelongsOnceItsParentIsARoot) {
  const Child child = family();
  const Child stranger([] { return ::pause(); });
  ASSERT_TRUE(ready_.pass());
  const auto below = DescendantScope::of_others(features_);
  const auto root = below->add_root(stranger.pid());
  EXPECT_FALSE(holds(*below, *grandchild_));
  below->add_root(child.pid());
  EXPECT_TRUE(holds(*below, *grandchild_));
  below->remove_root(root);
  EXPECT_TRUE(holds(*below, *grandchild_));
}

/// A pid that was a stranger's goes to somebody below the root, with no look in between.
TEST_P(DescendantScopeTest, AnotherProcessOfThatPidIsJudgedAnew) {
  SharedPage<pid_t> wanted;
  Gate go;
  const Child root([&] {
    if (!go.pass()) return 1;
    clone_args arguments{};
    arguments.exit_signal = SIGCHLD;
    arguments.set_tid = reinterpret_cast<std::uintptr_t>(&*wanted);
    arguments.set_tid_size = 1;
    const long pid = ::syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid == 0) {
      for (;;) ::pause();
    }
    *grandchild_ = static_cast<pid_t>(pid);
    ready_.open();
    return ::pause();
  });
  Child stranger([] { return ::pause(); });
  const pid_t pid = stranger.pid();
  const auto below = DescendantScope::of_others(features_);
  below->add_root(root.pid());
  EXPECT_FALSE(holds(*below, pid));
  EXPECT_FALSE(holds(*below, pid));
  ::kill(pid, SIGKILL);
  ASSERT_TRUE(stranger.wait(0));
  *wanted = pid;
  go.open();
  ASSERT_TRUE(ready_.pass());
  if (*grandchild_ != pid) GTEST_SKIP() << "no pid of one's choice without CAP_SYS_ADMIN";
  EXPECT_TRUE(holds(*below, pid));
  EXPECT_TRUE(holds(*below, pid));
}

INSTANTIATE_TEST_SUITE_P(PidfdAndProc, DescendantScopeTest, ::testing::Values(true, false),
                         [](const auto& test) { return test.param ? "Pidfd" : "Proc"; });

}  // namespace
}  // namespace shmvisor
