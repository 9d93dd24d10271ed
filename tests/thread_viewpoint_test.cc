// ThreadViewpoint and NamespaceOwner, on children in namespaces of their own.
#include "supervisor/credentials/thread_viewpoint.h"

#include <fcntl.h>
#include <sched.h>

#include <csignal>

#include "supervisor/credentials/user_namespace.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

constexpr std::uint32_t kOverflowId = 65534;
constexpr uid_t kNobody = static_cast<uid_t>(-1);

class ThreadViewpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root can write any id map";
  }

  /// A child in new namespaces, parked; null where it cannot have them.
  std::unique_ptr<Child> parked(int namespaces) {
    auto child = std::make_unique<Child>([this, namespaces] {
      if (::unshare(namespaces) != 0) return 77;
      ready_.open();
      return ::pause();
    });
    if (!ready_.pass()) return nullptr;
    return child;
  }
  static void write_map(pid_t pid, const char* name, const std::string& map) {
    const UniqueFd file(
        ::open(("/proc/" + std::to_string(pid) + "/" + name).c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_EQ(::write(file.get(), map.data(), map.size()), static_cast<ssize_t>(map.size()));
  }
  ThreadViewpoint viewpoint_of(pid_t tid) { return ThreadViewpoint(threads_.of(tid).identity); }

  KernelFeatures features_;
  ThreadIdentities threads_{features_};
  Gate ready_;
};

TEST_F(ThreadViewpointTest, InOurNamespacesEverythingIsItself) {
  ThreadViewpoint ours = viewpoint_of(gettid());
  EXPECT_EQ(ours.show_uid(0), 0U);
  EXPECT_EQ(ours.show_uid(123456), 123456U);
  EXPECT_EQ(ours.show_gid(kNobody - 1), kNobody - 1);
  EXPECT_EQ(ours.mean_uid(123456), 123456U);
  EXPECT_EQ(ours.mean_uid(kNobody), std::nullopt);
  EXPECT_EQ(ours.mean_gid(kNobody), std::nullopt);
  EXPECT_EQ(ours.show_pid({4711, nullptr}), 4711);
  const PidRecord record = ours.record(4711);
  EXPECT_EQ(record.pid, 4711);
  EXPECT_EQ(record.inner, nullptr);
}

TEST_F(ThreadViewpointTest, IdsThroughTheMaps) {
  const auto child = parked(CLONE_NEWUSER);
  if (child == nullptr) GTEST_SKIP() << "no user namespace to be had";
  write_map(child->pid(), "uid_map", "0 1000 10\n20 5000 1\n");
  write_map(child->pid(), "gid_map", "0 2000 10\n");
  ThreadViewpoint inside = viewpoint_of(child->pid());
  EXPECT_EQ(inside.show_uid(1000), 0U);
  EXPECT_EQ(inside.show_uid(1009), 9U);
  EXPECT_EQ(inside.show_uid(1010), kOverflowId);
  EXPECT_EQ(inside.show_uid(999), kOverflowId);
  EXPECT_EQ(inside.show_uid(5000), 20U);
  EXPECT_EQ(inside.show_uid(0), kOverflowId);
  EXPECT_EQ(inside.show_gid(2003), 3U);
  EXPECT_EQ(inside.show_gid(1003), kOverflowId) << "groups have a map of their own";
  EXPECT_EQ(inside.mean_uid(0), 1000U);
  EXPECT_EQ(inside.mean_uid(9), 1009U);
  EXPECT_EQ(inside.mean_uid(10), std::nullopt);
  EXPECT_EQ(inside.mean_uid(20), 5000U);
  EXPECT_EQ(inside.mean_uid(kNobody), std::nullopt);
  EXPECT_EQ(inside.mean_gid(9), 2009U);
  EXPECT_EQ(inside.mean_gid(20), std::nullopt);
}

TEST_F(ThreadViewpointTest, WithoutMapsEverybodyIsNobody) {
  const auto child = parked(CLONE_NEWUSER);
  if (child == nullptr) GTEST_SKIP() << "no user namespace to be had";
  ThreadViewpoint inside = viewpoint_of(child->pid());
  EXPECT_EQ(inside.show_uid(0), kOverflowId);
  EXPECT_EQ(inside.mean_uid(0), std::nullopt);
}

TEST_F(ThreadViewpointTest, ProcessesThroughPidNamespaces) {
  SharedPage<pid_t> outer_pid;
  Gate inner_ready;
  // Its child is number 1 in a pid namespace of its own.
  Child child([&] {
    if (::unshare(CLONE_NEWPID) != 0) return 77;
    const pid_t pid = ::fork();
    if (pid != 0) {
      *outer_pid = pid;
      inner_ready.open();
      return ::pause();
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    return ::pause();
  });
  ASSERT_TRUE(inner_ready.pass());
  ThreadViewpoint inside = viewpoint_of(*outer_pid);
  const PidRecord record = inside.record(*outer_pid);
  EXPECT_EQ(record.pid, *outer_pid);
  ASSERT_NE(record.inner, nullptr);
  ASSERT_EQ(record.inner->size(), 1U);
  EXPECT_EQ(record.inner->front().pid, 1);
  EXPECT_EQ(inside.show_pid(record), 1);
  EXPECT_EQ(inside.show_pid({getpid(), nullptr}), 0) << "who is outside cannot be seen";
  EXPECT_EQ(viewpoint_of(gettid()).show_pid(record), *outer_pid);
  ::kill(*outer_pid, SIGKILL);  // it may not have asked for its parent's death yet
}

/// cap_capable(): who has a capability over the IPC namespace that it lives in.
class CapableOverIpcTest : public ThreadViewpointTest {
 protected:
  bool capable(pid_t tid, bool has_effective, uid_t euid) {
    const UniqueFd ipc(
        ::open(("/proc/" + std::to_string(tid) + "/ns/ipc").c_str(), O_RDONLY | O_CLOEXEC));
    return NamespaceOwner::of(ipc).grants(threads_.of(tid).identity->user_namespace(),
                                          has_effective, euid);
  }
};

TEST_F(CapableOverIpcTest, AtHomeTheEffectiveSetDecides) {
  EXPECT_TRUE(capable(gettid(), true, 5));
  EXPECT_FALSE(capable(gettid(), false, 0));
}

TEST_F(CapableOverIpcTest, AUserNamespaceOfItsOwnHasNothingOverOurs) {
  const auto child = parked(CLONE_NEWUSER);
  if (child == nullptr) GTEST_SKIP() << "no user namespace to be had";
  EXPECT_FALSE(capable(child->pid(), true, 0));
}

TEST_F(CapableOverIpcTest, ButOverItsOwnIpcNamespace) {
  const auto child = parked(CLONE_NEWUSER | CLONE_NEWIPC);
  if (child == nullptr) GTEST_SKIP() << "no user namespace to be had";
  EXPECT_TRUE(capable(child->pid(), true, 0));
  EXPECT_FALSE(capable(child->pid(), false, 0));
}

TEST_F(CapableOverIpcTest, AnOwnerOutOfSightGrantsNothing) {
  EXPECT_FALSE(NamespaceOwner().in_sight());
  EXPECT_FALSE(NamespaceOwner().grants(NamespaceIds::ours().user, true, 0));
  EXPECT_FALSE(NamespaceOwner().grants(0, true, 0));
  EXPECT_FALSE(NamespaceOwner::of_ours().grants(0, true, 0)) << "who may not be looked at";
}

TEST_F(CapableOverIpcTest, AnAncestorsUsersInAnInnerIpcNamespace) {
  const auto owner = parked(CLONE_NEWUSER | CLONE_NEWIPC);
  if (owner == nullptr) GTEST_SKIP() << "no user namespace to be had";
  Gate entered;
  Child visitor([&] {
    const std::string path = "/proc/" + std::to_string(owner->pid()) + "/ns/ipc";
    const UniqueFd ipc(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (::setns(ipc.get(), CLONE_NEWIPC) != 0) return 1;
    entered.open();
    return ::pause();
  });
  ASSERT_TRUE(entered.pass());
  EXPECT_TRUE(capable(visitor.pid(), true, 5)) << "capable in an ancestor";
  EXPECT_FALSE(capable(visitor.pid(), false, 5));
  EXPECT_TRUE(capable(visitor.pid(), false, geteuid())) << "who made it has everything in it";
}

}  // namespace
}  // namespace shmvisor
