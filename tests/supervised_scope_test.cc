#include "supervisor/scope/supervised_scope.h"

#include <grp.h>
#include <linux/filter.h>
#include <linux/sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <thread>
#include <vector>

#include "supervisor/procfs/task_status.h"
#include "tests/no_descriptors.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

class SupervisedScopeTest : public ::testing::Test {
 protected:
  static bool holds(const SupervisedScope& scope, pid_t pid) {
    const auto pids = scope.processes();
    return std::count(pids->begin(), pids->end(), pid) == 1;
  }
  /// A filter, of whomever.
  static void get_filter() {
    sock_filter allow{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
    sock_fprog program{1, &allow};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
  }
  static pid_t fork_idle() {
    const pid_t pid = ::fork();
    if (pid == 0) {
      for (;;) ::pause();
    }
    return pid;
  }
  /// A child under a filter, that has a child of its own, `grandchild_`.
  Child family() {
    return Child([this] {
      get_filter();
      *grandchild_ = fork_idle();
      ready_.open();
      return ::pause();
    });
  }
  ~SupervisedScopeTest() override {
    if (*grandchild_ > 0) ::kill(*grandchild_, SIGKILL);
  }

  SharedPage<pid_t> grandchild_;
  Gate ready_;
};

TEST_F(SupervisedScopeTest, NobodyWithoutARoot) {
  const Child child = family();
  ASSERT_TRUE(ready_.pass());
  SupervisedScope scope;
  EXPECT_TRUE(scope.processes()->empty());
  const auto root = scope.add_root(getpid());
  EXPECT_TRUE(holds(scope, child.pid()));
  EXPECT_TRUE(holds(scope, *grandchild_));
  scope.remove_root(root);
  EXPECT_TRUE(scope.processes()->empty());
}

TEST_F(SupervisedScopeTest, NobodyIsNoAnswerWhereProcCannotBeRead) {
  SupervisedScope scope;
  scope.add_root(getpid());
  const NoDescriptors none;
  const auto found = scope.processes();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error(), Errno(EMFILE));
}

TEST_F(SupervisedScopeTest, NotThoseWithoutAFilterNorTheRoot) {
  const Child stranger([] { return ::pause(); });
  SupervisedScope scope;
  scope.add_root(getpid());
  EXPECT_FALSE(holds(scope, stranger.pid()));
  EXPECT_FALSE(holds(scope, getpid()));
  EXPECT_FALSE(holds(scope, getppid()));
}

TEST_F(SupervisedScopeTest, AnOrphanBelongsInASessionOfItsOwnToo) {
  Child child([this] {
    get_filter();
    const pid_t between = ::fork();
    if (between == 0) {
      ::setsid();
      *grandchild_ = fork_idle();
      ::_exit(0);
    }
    ::waitpid(between, nullptr, 0);
    ready_.open();
    return 0;
  });
  ASSERT_TRUE(ready_.pass());
  ASSERT_EQ(exit_status_of(child), 0);
  SupervisedScope scope;
  scope.add_root(getpid());
  EXPECT_TRUE(holds(scope, *grandchild_));
}

TEST_F(SupervisedScopeTest, OneThatWasSeenBelowBelongsAsAnOrphan) {
  Child child = family();
  ASSERT_TRUE(ready_.pass());
  SupervisedScope scope;
  scope.add_root(getpid());
  EXPECT_TRUE(holds(scope, *grandchild_));
  ::kill(child.pid(), SIGKILL);
  ASSERT_TRUE(child.wait(0));
  EXPECT_TRUE(holds(scope, *grandchild_));
}

/// As of a shmvisor that joined: it is younger than the server, and may itself be under filters.
TEST_F(SupervisedScopeTest, OfARootThatIsUnderAFilterItselfOnlyThoseWithMore) {
  Gate twice;
  SharedPage<pid_t> with_more;
  const Child root([&] {
    get_filter();
    *grandchild_ = fork_idle();
    const Child below([&] {
      get_filter();
      *with_more = getpid();
      twice.open();
      return ::pause();
    });
    ready_.open();
    return ::pause();
  });
  ASSERT_TRUE(ready_.pass());
  ASSERT_TRUE(twice.pass());
  SupervisedScope scope;
  scope.add_root(root.pid());
  EXPECT_FALSE(holds(scope, *grandchild_));
  EXPECT_TRUE(holds(scope, *with_more));
}

TEST_F(SupervisedScopeTest, OfSeveralRootsEachOnce) {
  const Child child = family();
  ASSERT_TRUE(ready_.pass());
  SupervisedScope scope;
  const auto root = scope.add_root(getpid());
  scope.add_root(getpid());
  EXPECT_TRUE(holds(scope, *grandchild_));
  scope.remove_root(root);
  EXPECT_TRUE(holds(scope, *grandchild_)) << "it was added twice";
}

TEST_F(SupervisedScopeTest, WhoIsBornAfterALookBelongs) {
  SupervisedScope scope;
  scope.add_root(getpid());
  EXPECT_FALSE(holds(scope, getpid()));
  const Child child = family();
  ASSERT_TRUE(ready_.pass());
  for (int look = 0; look < 3; ++look) {
    EXPECT_TRUE(holds(scope, child.pid()));
    EXPECT_TRUE(holds(scope, *grandchild_));
  }
}

/// With looks so often that most of them make no listing of /proc.
TEST_F(SupervisedScopeTest, WhoIsBornAndEndsBetweenFrequentLooksIsSeen) {
  SupervisedScope scope;
  scope.add_root(getpid());
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(1500);
  while (std::chrono::steady_clock::now() < until) {
    ASSERT_FALSE(holds(scope, getpid()));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (int birth = 0; birth < 40; ++birth) {
    Gate under_filter;
    const Child child([&] {
      get_filter();
      under_filter.open();
      return ::pause();
    });
    ASSERT_TRUE(under_filter.pass());
    EXPECT_TRUE(holds(scope, child.pid())) << birth;
    // A thread has a number too, and is no process.
    std::atomic<pid_t> tid = 0;
    std::jthread thread([&](const std::stop_token& stop) {
      tid = gettid();
      tid.notify_one();
      while (!stop.stop_requested()) std::this_thread::yield();
    });
    tid.wait(0);
    EXPECT_FALSE(holds(scope, tid)) << birth;
  }
}

/// Processes with so many groups that the kernel takes long to write their status, below a child
/// under a filter.
class SupervisedScopeOfManyGroupsTest : public SupervisedScopeTest {
 protected:
  static constexpr int kProcesses = 50;
  struct Family {
    bool refused = false;
    pid_t pids[kProcesses];
  };

  Child large_family() {
    return Child([this] {
      get_filter();
      std::vector<gid_t> groups(65536);
      for (std::size_t at = 0; at < groups.size(); ++at) {
        groups[at] = static_cast<gid_t>(4'000'000'000U + at);
      }
      family_->refused = ::setgroups(groups.size(), groups.data()) != 0;
      for (pid_t& pid : family_->pids) pid = family_->refused ? 0 : fork_idle();
      ready_.open();
      return ::pause();
    });
  }
  ~SupervisedScopeOfManyGroupsTest() override {
    for (const pid_t pid : family_->pids) {
      if (pid > 0) ::kill(pid, SIGKILL);
    }
  }

  template <typename Work>
  static std::chrono::nanoseconds cpu_time_of(Work work) {
    const auto now = [] {
      timespec time{};
      ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
      return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
    };
    const auto began = now();
    work();
    return now() - began;
  }

  /// One walk that meets them all first, against a status of each.
  void expect_few_reads() {
    SupervisedScope scope;
    scope.add_root(getpid());
    const auto all = cpu_time_of([&] {
      for (const pid_t pid : family_->pids) EXPECT_TRUE(TaskStatus::read(pid));
    });
    std::vector<pid_t> found;
    const auto walk = cpu_time_of([&] { found = *scope.processes(); });
    EXPECT_LT(walk.count(), all.count() / 3);
    for (const pid_t pid : family_->pids) EXPECT_EQ(std::ranges::count(found, pid), 1);
  }

  SharedPage<Family> family_;
};

TEST_F(SupervisedScopeOfManyGroupsTest, ChildrenAreNotRead) {
  const Child child = large_family();
  ASSERT_TRUE(ready_.pass());
  if (family_->refused) GTEST_SKIP() << "no groups of one's choice without CAP_SETGID";
  expect_few_reads();
}

TEST_F(SupervisedScopeTest, AncestorsAreRootsThatLive) {
  SupervisedScope scope;
  SupervisedScope::Root of_another = SupervisedScope::look_at(getpid());
  EXPECT_EQ(of_another.pid, getpid());
  ++of_another.started_ticks;
  scope.add_root(of_another);
  EXPECT_TRUE(scope.ancestors().empty()) << "a process that has had the pid before";
  Child child([] { return ::pause(); });
  scope.add_root(getpid());
  scope.add_root(child.pid());
  EXPECT_EQ(scope.ancestors(), (std::vector<pid_t>{getpid(), child.pid()}));
  ::kill(child.pid(), SIGKILL);
  ASSERT_TRUE(child.wait(0));
  EXPECT_EQ(scope.ancestors(), std::vector<pid_t>{getpid()});
}

/// One whose number is chosen is not among the last ones.
TEST_F(SupervisedScopeTest, WhoHasAChosenPidBelongsOnceItWasServed) {
  SupervisedScope scope;
  scope.add_root(getpid());
  const pid_t wanted = getpid() > 3000 ? getpid() - 1000 : getpid() + 2000;
  const auto until = std::chrono::steady_clock::now() + RecentPids::kLongestBirth * 3 / 2;
  while (std::chrono::steady_clock::now() < until) {
    ASSERT_FALSE(holds(scope, getpid()));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  int missed = 0;
  for (pid_t pid = wanted; pid > wanted - 20; --pid) {
    Gate under_filter;
    const Child parent([&] {
      get_filter();
      clone_args arguments{};
      arguments.exit_signal = SIGCHLD;
      arguments.set_tid = reinterpret_cast<std::uintptr_t>(&pid);
      arguments.set_tid_size = 1;
      const long made = ::syscall(SYS_clone3, &arguments, sizeof(arguments));
      if (made == 0) {
        for (;;) ::pause();
      }
      *grandchild_ = static_cast<pid_t>(made);
      under_filter.open();
      return ::pause();
    });
    ASSERT_TRUE(under_filter.pass());
    if (*grandchild_ != pid) continue;  // somebody has it
    if (!holds(scope, pid)) ++missed;
    scope.note_served(pid);
    EXPECT_TRUE(holds(scope, pid));
    EXPECT_TRUE(holds(scope, pid));
    ::kill(pid, SIGKILL);
    *grandchild_ = 0;
  }
  RecordProperty("missed", missed);
  EXPECT_GT(missed, 0) << "nothing was tried";
}

/// A pid that was a stranger's goes to somebody under a filter, with no look in between.
TEST_F(SupervisedScopeTest, AnotherProcessOfThatPidIsJudgedAnew) {
  SharedPage<pid_t> wanted;
  Gate go;
  const Child parent([&] {
    get_filter();
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
  SupervisedScope scope;
  scope.add_root(getpid());
  EXPECT_FALSE(holds(scope, pid));
  EXPECT_FALSE(holds(scope, pid));
  ::kill(pid, SIGKILL);
  ASSERT_TRUE(stranger.wait(0));
  *wanted = pid;
  go.open();
  ASSERT_TRUE(ready_.pass());
  if (*grandchild_ != pid) GTEST_SKIP() << "no pid of one's choice without CAP_SYS_ADMIN";
  EXPECT_TRUE(holds(scope, pid));
  EXPECT_TRUE(holds(scope, pid));
}

}  // namespace
}  // namespace shmvisor
