// Server, and callers that change their IPC namespace or their program.
#include "tests/server_fixture.h"

namespace shmvisor {
namespace {

constexpr const char* kLookForKey = "SHMVISOR_TEST_LOOK_FOR_KEY";

/// This program, executed by a test for the sake of the exec: says whether the key exists.
__attribute__((constructor)) void look_for_key() {
  if (std::getenv(kLookForKey) == nullptr) return;
  ::_exit(::shmget(kKey, 0, 0) >= 0 ? 0 : errno);
}

TEST_F(ServerTest, EachIpcNamespaceHasItsOwn) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make an IPC namespace";
  EXPECT_EQ(serve([] {
              const int outside = ::shmget(kKey, kPage, IPC_CREAT | 0600);
              const int home = ::open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
              char* const at = attach(outside);
              if (::unshare(CLONE_NEWIPC) != 0) return 1;
              if (::shmget(kKey, 0, 0) != -1 || errno != ENOENT) return 2;
              if (::shmget(kKey, kPage, IPC_CREAT | IPC_EXCL | 0600) != 0) return 3;
              if (::shmdt(at) != 0) return 4;  // an attach of the other one
              if (::setns(home, CLONE_NEWIPC) != 0) return 5;
              if (::shmget(kKey, 0, 0) != outside) return 6;
              return nattch(outside) == 0 ? 0 : 7;
            }),
            0);
  EXPECT_EQ(segments_left_, 1);
}

TEST_F(ServerTest, WhoLeavesANamespaceThatIsNotTheInitialOneIsNoted) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make an IPC namespace";
  const auto leave_twice = [] {
    if (::unshare(CLONE_NEWIPC) != 0) return 1;
    if (::shmget(kKey, kPage, IPC_CREAT | 0600) < 0) return 2;
    return ::unshare(CLONE_NEWIPC) == 0 ? 0 : 3;
  };
  EXPECT_EQ(serve([] { return ::unshare(CLONE_NEWIPC) == 0 ? 0 : 1; }), 0);
  EXPECT_FALSE(has_left_);
  EXPECT_EQ(serve(leave_twice), 0);
  EXPECT_TRUE(has_left_);
}

// A thread with namespaces of its own execs: it takes over the leader's tid, and keeps them.
TEST_F(ServerTest, AThreadsNamespaceOutlivesItsExec) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make an IPC namespace";
  EXPECT_EQ(serve([] {
              if (::shmget(kKey, kPage, IPC_CREAT | 0600) < 0) return 100;
              // A thread that shares everything but the IPC namespace, without the C library's.
              std::thread([] {
                if (::unshare(CLONE_NEWIPC) != 0) ::_exit(101);
                ::setenv(kLookForKey, "1", 1);
                ::execl("/proc/self/exe", "server_test", nullptr);
                ::_exit(102);
              }).join();
              return 103;
            }),
            ENOENT);
}

}  // namespace
}  // namespace shmvisor
