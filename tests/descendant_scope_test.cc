#include "supervisor/scope/descendant_scope.h"

#include <algorithm>

#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

/// By PIDFD_GET_INFO, and by what /proc says.
class DescendantScopeTest : public ::testing::TestWithParam<bool> {
 protected:
  DescendantScopeTest() {
    if (!GetParam()) features_.mark_absent(KernelFeature::kPidfdGetInfo);
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  }
  ~DescendantScopeTest() override {
    const DescendantScope ours(features_);
    const auto left = ours.processes();
    for (const pid_t pid : *left) ::kill(pid, SIGKILL);
    while (::waitpid(-1, nullptr, __WALL) > 0) {
    }
  }

  static bool holds(const DescendantScope& scope, pid_t pid) {
    const auto pids = scope.processes();
    return std::count(pids->begin(), pids->end(), pid) == 1;
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

TEST_P(DescendantScopeTest, AnOrphanBelongsToASubreaper) {
  Child child = family();
  ASSERT_TRUE(ready_.pass());
  ::kill(child.pid(), SIGKILL);
  ASSERT_TRUE(child.wait(0));
  const DescendantScope ours(features_);
  EXPECT_TRUE(holds(ours, *grandchild_));
}

INSTANTIATE_TEST_SUITE_P(PidfdAndProc, DescendantScopeTest, ::testing::Values(true, false),
                         [](const auto& test) { return test.param ? "Pidfd" : "Proc"; });

}  // namespace
}  // namespace shmvisor
