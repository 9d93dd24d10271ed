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

// Their calls keep us for long, each; the user's other calls do not wait for them.
TEST_F(ServerTest, OtherCallsGoOnWhileManyMakeNamespaces) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make an IPC namespace";
  constexpr int kMakers = 12;
  options_.most_threads = 16;
  const SharedPage<std::atomic<int>> changed;
  const SharedPage<std::atomic<bool>> others_answered;
  options_.on_namespace_change = [&](pid_t, uid_t) {
    EXPECT_TRUE(becomes(*others_answered)) << "others wait for who makes a namespace";
    ++*changed;
  };
  EXPECT_EQ(serve([&] {
              const int id = ::shmget(kKey, kPage, IPC_CREAT | 0600);
              for (int i = 0; i < kMakers; ++i) {
                if (::fork() == 0) ::_exit(::unshare(CLONE_NEWIPC) == 0 ? 0 : 1);
              }
              for (int i = 0; i < 100; ++i) {
                ::usleep(2000);
                if (::shmget(kKey, 0, 0) != id) return 100;
              }
              *others_answered = true;
              int failed = 0;
              int status = 0;
              while (::wait(&status) > 0) failed += status != 0;
              return failed;
            }),
            0);
  EXPECT_EQ(*changed, kMakers) << "each had its turn";
}

}  // namespace
}  // namespace shmvisor
