#include "supervisor/credentials/thread_identity.h"

#include <sched.h>
#include <sys/stat.h>

#include <csignal>
#include <thread>

#include "tests/no_descriptors.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

class ThreadIdentityTest : public ::testing::Test {
 protected:
  KernelFeatures features_;
  ThreadIdentities threads_{features_};

  /// Whether threads can be recognised here; elsewhere nothing is kept.
  bool recognised() { return threads_.of(gettid()).ids.has_value(); }
};

TEST_F(ThreadIdentityTest, NamespacesAreThoseOfProc) {
  struct stat status {};
  ASSERT_EQ(::stat("/proc/self/ns/ipc", &status), 0);
  EXPECT_EQ(NamespaceIds::ours().ipc, status.st_ino);
  ASSERT_EQ(::stat("/proc/self/ns/user", &status), 0);
  EXPECT_EQ(NamespaceIds::ours().user, status.st_ino);
  ASSERT_EQ(::stat("/proc/self/ns/pid", &status), 0);
  EXPECT_EQ(NamespaceIds::ours().pid, status.st_ino);
  const KnownThread us = threads_.of(gettid());
  EXPECT_EQ(us.identity->ipc_namespace(), NamespaceIds::ours().ipc);
  EXPECT_EQ(us.identity->tid(), gettid());
}

TEST_F(ThreadIdentityTest, IdsAreThoseOfTheThread) {
  const KnownThread us = threads_.of(gettid());
  if (!us.ids) GTEST_SKIP() << "no PIDFD_GET_INFO: older than Linux 6.13";
  EXPECT_EQ(us.ids->tgid, getpid());
  EXPECT_EQ(us.ids->uid, getuid());
  EXPECT_EQ(us.ids->euid, geteuid());
  EXPECT_EQ(us.ids->egid, getegid());
  EXPECT_EQ(us.ids->fsgid, getegid());
}

TEST_F(ThreadIdentityTest, IdsAreReadAnew) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can change its ids";
  if (!recognised()) GTEST_SKIP() << "no PIDFD_GET_INFO: older than Linux 6.13";
  Child child([&] {
    if (threads_.of(gettid()).ids->euid != 0) return 1;
    if (::setresuid(5, 6, 7) != 0) return 2;
    const auto now = threads_.of(gettid());
    return now.ids && now.ids->uid == 5 && now.ids->euid == 6 ? 0 : 3;
  });
  EXPECT_EQ(exit_status_of(child), 0);
}

TEST_F(ThreadIdentityTest, AThreadIsRecognised) {
  if (!recognised()) GTEST_SKIP() << "no PIDFD_GET_INFO: older than Linux 6.13";
  const auto first = threads_.of(gettid()).identity;
  EXPECT_EQ(threads_.of(gettid()).identity, first);
  EXPECT_NE(first->unique(), 0U);
}

// A thread that execs takes over the tid of the first one and brings its own namespaces.
TEST_F(ThreadIdentityTest, NothingIsKeptOfAProcessWhoseNamespacesChange) {
  if (!recognised()) GTEST_SKIP() << "no PIDFD_GET_INFO: older than Linux 6.13";
  const auto before = threads_.of(gettid()).identity;
  std::thread([&] { threads_.namespaces_change(gettid()); }).join();
  const auto first = threads_.of(gettid());
  const auto second = threads_.of(gettid());
  EXPECT_NE(first.identity, before);
  EXPECT_NE(second.identity, first.identity);
  EXPECT_TRUE(second.ids);
  EXPECT_EQ(second.identity->unique(), before->unique()) << "it is the same thread all the same";
  const Child other([] { return ::pause(); });
  EXPECT_EQ(threads_.of(other.pid()).identity, threads_.of(other.pid()).identity);
}

TEST_F(ThreadIdentityTest, ThreadsOfOneProcessDiffer) {
  if (!recognised()) GTEST_SKIP() << "no PIDFD_GET_INFO: older than Linux 6.13";
  const auto ours = threads_.of(gettid()).identity;
  std::thread([&] {
    const KnownThread other = threads_.of(gettid());
    EXPECT_NE(other.identity->unique(), ours->unique());
    EXPECT_EQ(other.ids->tgid, getpid());
  }).join();
}

TEST_F(ThreadIdentityTest, ManyThreadsAndThoseLongUnheardOfAreForgotten) {
  if (!recognised()) GTEST_SKIP() << "no PIDFD_GET_INFO: older than Linux 6.13";
  const std::weak_ptr<ThreadIdentity> first = threads_.of(gettid()).identity;
  Gate end;
  std::vector<std::unique_ptr<Child>> children;
  for (int count = 0; count < 300; ++count) {
    children.push_back(std::make_unique<Child>([] { return ::pause(); }));
    (void)threads_.of(children.back()->pid());
    EXPECT_TRUE(count > 200 || !first.expired()) << count;
  }
  EXPECT_TRUE(first.expired()) << "each remembered thread costs a descriptor";
  EXPECT_TRUE(threads_.of(gettid()).ids);
}

TEST_F(ThreadIdentityTest, WhatTakesACallBackOutlastsThat) {
  if (!recognised()) GTEST_SKIP() << "no PIDFD_GET_INFO: older than Linux 6.13";
  int taken_back = 0;
  const auto undo = [&] { ++taken_back; };
  threads_.keep_undo(*threads_.of(gettid()).identity, undo);
  std::vector<std::unique_ptr<Child>> children;
  const auto forget_us = [&] {
    const auto us = threads_.of(gettid()).identity;
    if (children.empty()) {
      for (int count = 0; count < 260; ++count) {
        children.push_back(std::make_unique<Child>([] { return ::pause(); }));
      }
    }
    for (const auto& child : children) (void)threads_.of(child->pid());
    return us;
  };
  const auto forgotten = forget_us();
  auto found = threads_.of(gettid()).identity->take_undo();
  ASSERT_TRUE(found);
  found();
  EXPECT_EQ(taken_back, 1);
  EXPECT_FALSE(threads_.of(gettid()).identity->take_undo());

  const auto forgotten_before = forget_us();
  threads_.keep_undo(*forgotten_before, undo);
  EXPECT_TRUE(threads_.of(gettid()).identity->take_undo());
}

TEST_F(ThreadIdentityTest, WithoutPidfdsNothingIsKept) {
  features_.mark_absent(KernelFeature::kPidfdThread);
  const KnownThread first = threads_.of(gettid());
  EXPECT_FALSE(first.ids);
  EXPECT_EQ(first.identity->unique(), 0U);
  EXPECT_EQ(first.identity->pid_namespace(), NamespaceIds::ours().pid);
  EXPECT_NE(threads_.of(gettid()).identity, first.identity);
}

TEST_F(ThreadIdentityTest, WithoutInfoNothingIsKept) {
  features_.mark_absent(KernelFeature::kPidfdGetInfo);
  const KnownThread first = threads_.of(gettid());
  EXPECT_FALSE(first.ids);
  EXPECT_NE(threads_.of(gettid()).identity, first.identity);
}

TEST_F(ThreadIdentityTest, TheNamespacesOfAnotherProcess) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make an IPC namespace";
  Gate ready;
  Child child([&] {
    if (::unshare(CLONE_NEWIPC) != 0) return 1;
    ready.open();
    return ::pause();
  });
  ASSERT_TRUE(ready.pass());
  const auto theirs = threads_.of(child.pid()).identity;
  EXPECT_NE(theirs->ipc_namespace(), NamespaceIds::ours().ipc);
  EXPECT_NE(theirs->ipc_namespace(), 0U);
  EXPECT_EQ(theirs->user_namespace(), NamespaceIds::ours().user);
  EXPECT_EQ(theirs->pid_namespace(), NamespaceIds::ours().pid);
}

// A filter of somebody else's may hide unshare(2) from us.
TEST_F(ThreadIdentityTest, WhereAThreadOfOthersLivesIsReadAnew) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make an IPC namespace";
  if (!recognised()) GTEST_SKIP() << "no PIDFD_GET_INFO: older than Linux 6.13";
  ThreadIdentities others(features_, Remembered::kThreads);
  Gate go;
  Gate ready;
  Child child([&] {
    if (!go.pass() || ::unshare(CLONE_NEWIPC) != 0) return 1;
    ready.open();
    return ::pause();
  });
  const auto before = others.of(child.pid()).identity;
  EXPECT_EQ(before->ipc_namespace(), NamespaceIds::ours().ipc);
  go.open();
  ASSERT_TRUE(ready.pass());
  const auto after = others.of(child.pid()).identity;
  EXPECT_EQ(after, before) << "it is the same thread all the same";
  EXPECT_NE(after->ipc_namespace(), NamespaceIds::ours().ipc);
}

TEST_F(ThreadIdentityTest, ADeadOneIsSeenToBeDead) {
  Child child([] { return ::pause(); });
  const auto identity = threads_.of(child.pid()).identity;
  const std::uint64_t unique = identity->unique();
  EXPECT_TRUE(thread_lives(child.pid(), unique, features_));
  {
    const NoDescriptors none;
    EXPECT_TRUE(thread_lives(child.pid(), unique, features_)) << "it cannot be told";
  }
  if (unique != 0) {
    EXPECT_FALSE(thread_lives(child.pid(), unique + 1, features_)) << "a successor of its tid";
  }
  ::kill(child.pid(), SIGKILL);
  ASSERT_TRUE(child.wait(0));
  EXPECT_FALSE(thread_lives(child.pid(), unique, features_));
  EXPECT_FALSE(identity->read_ids(features_));
}

TEST_F(ThreadIdentityTest, AZombieIsDead) {
  if (!recognised()) GTEST_SKIP() << "no PIDFD_GET_INFO: older than Linux 6.13";
  Child child([] { return 0; });
  const std::uint64_t unique = threads_.of(child.pid()).identity->unique();
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(thread_lives(child.pid(), unique, features_));
}

}  // namespace
}  // namespace shmvisor
