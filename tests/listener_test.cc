#include "supervisor/notify/listener.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <csignal>

#include "supervisor/inject/lent_descriptor.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

TEST(ListenerTest, ReceivesNumberArgumentsAndThread) {
  SupervisedChild child([] { return raw_call(SYS_shmget, 0x1234, 4096, 0600) == 42 ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  EXPECT_FALSE(child.listener().ended());
  const seccomp_notif notif = child.receive();
  EXPECT_EQ(notif.pid, static_cast<unsigned>(child.pid()));
  EXPECT_EQ(notif.data.nr, SYS_shmget);
  EXPECT_EQ(notif.data.arch, unsigned{AUDIT_ARCH_X86_64});
  EXPECT_EQ(notif.data.args[0], 0x1234U);
  EXPECT_EQ(notif.data.args[1], 4096U);
  EXPECT_EQ(notif.data.args[2], 0600U);
  EXPECT_TRUE(child.listener().alive(notif.id));
  EXPECT_TRUE(child.listener().respond(notif.id, 42));
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

// A value, an errno, an address whose int part looks negative, and a number just beyond the errnos.
TEST(ListenerTest, AnswersArriveAsTheyAre) {
  constexpr std::array<long, 7> kAnswers{
      0, 2147483647, -EINVAL, -4095, 0x7fff'ffff'f000, 0x7f00'ffff'0000, -4096};
  SupervisedChild child([&] {
    for (std::size_t at = 0; at < kAnswers.size(); ++at) {
      if (raw_call(SYS_shmdt) != kAnswers[at]) return static_cast<int>(at) + 1;
    }
    return 0;
  });
  ASSERT_EQ(child.trouble(), "");
  for (const long answer : kAnswers) {
    EXPECT_TRUE(child.listener().respond(child.receive().id, answer));
  }
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST(ListenerTest, ACallIsAnsweredOnce) {
  SupervisedChild child([] { return raw_call(SYS_shmdt) == 1 ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  const seccomp_notif notif = child.receive();
  EXPECT_TRUE(child.listener().respond(notif.id, 1));
  const auto again = child.listener().respond(notif.id, 2);
  ASSERT_FALSE(again);
  EXPECT_TRUE(again.error() == Errno(EINPROGRESS) || again.error() == Errno(ENOENT));
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST(ListenerTest, NumbersThatAreNoCall) {
  SupervisedChild child([] { return raw_call(SYS_shmdt) == 0 ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  const seccomp_notif notif = child.receive();
  EXPECT_FALSE(child.listener().alive(notif.id + 1));
  EXPECT_EQ(child.listener().respond(notif.id + 1, 0).error(), Errno(ENOENT));
  EXPECT_EQ(child.listener().add_fd(notif.id + 1, 0).error(), Errno(ENOENT));
  EXPECT_TRUE(child.listener().respond(notif.id, 0));
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST(ListenerTest, AKilledCallerIsNoLongerThere) {
  SupervisedChild child([] { return static_cast<int>(raw_call(SYS_shmdt)); });
  ASSERT_EQ(child.trouble(), "");
  const seccomp_notif notif = child.receive();
  ::kill(child.pid(), SIGKILL);
  ASSERT_TRUE(child.child().wait(0));
  EXPECT_FALSE(child.listener().alive(notif.id));
  EXPECT_EQ(child.listener().respond(notif.id, 0).error(), Errno(ENOENT));
  EXPECT_EQ(child.listener().add_fd(notif.id, 0).error(), Errno(ENOENT));
  EXPECT_TRUE(child.listener().ended());
}

// Linux 6.11; before it the call would block, and Server knows.
TEST(ListenerTest, TheEndIsSaid) {
  SupervisedChild child([] { return 0; });
  ASSERT_EQ(child.trouble(), "");
  EXPECT_EQ(exit_status_of(child.child()), 0);
  EXPECT_TRUE(child.listener().ended());
  Child reader([&] {
    ::alarm(5);
    const auto notif = child.listener().receive();
    return !notif && notif.error() == Errno(ENOENT) ? 0 : 1;
  });
  const Result<int> status = reader.wait(0);
  ASSERT_TRUE(status);
  if (WIFSIGNALED(*status) && WTERMSIG(*status) == SIGALRM) {
    GTEST_SKIP() << "NOTIF_RECV blocks after the last task has gone: older than Linux 6.11";
  }
  EXPECT_EQ(WEXITSTATUS(*status), 0);
}

TEST(ListenerTest, ADescriptorAndThenTheAnswer) {
  SharedPage<struct stat> seen;
  SupervisedChild child([&] {
    const auto fd = static_cast<int>(raw_call(SYS_shmdt));
    if (fd < 0 || ::fstat(fd, &*seen) != 0) return 1;
    return ::fcntl(fd, F_GETFD) == FD_CLOEXEC ? 0 : 2;
  });
  ASSERT_EQ(child.trouble(), "");
  const UniqueFd file(::memfd_create("given", MFD_CLOEXEC));
  const std::uint64_t id = child.receive().id;
  const auto lowest = child.listener().add_fd(id, file.get());
  ASSERT_TRUE(lowest);
  EXPECT_GE(*lowest, 0);
  constexpr int kOurs = 60;
  const auto installed = child.listener().add_fd_as(id, file.get(), kOurs);
  ASSERT_TRUE(installed);
  EXPECT_EQ(*installed, kOurs);
  EXPECT_EQ(child.listener().add_fd_as(id, file.get(), 1 << 30).error(), Errno(EBADF));
  EXPECT_TRUE(child.listener().respond(id, kOurs));
  EXPECT_EQ(exit_status_of(child.child()), 0);
  struct stat ours {};
  ASSERT_EQ(::fstat(file.get(), &ours), 0);
  EXPECT_EQ(seen->st_ino, ours.st_ino);
}

TEST(ListenerTest, AFullTableIsSaidAndTheCallStillWaits) {
  SupervisedChild child([] {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_NOFILE, &none);
    return raw_call(SYS_shmdt) == 7 ? 0 : 1;
  });
  ASSERT_EQ(child.trouble(), "");
  const seccomp_notif notif = child.receive();
  const auto installed = child.listener().add_fd(notif.id, 0);
  ASSERT_FALSE(installed);
  EXPECT_EQ(installed.error(), Errno(EMFILE));
  EXPECT_TRUE(child.listener().alive(notif.id));
  EXPECT_TRUE(child.listener().respond(notif.id, 7));
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

// WAIT_KILLABLE_RECV: a handled signal leaves a received call alone.
TEST(ListenerTest, AReceivedCallOutlivesSignals) {
  SharedPage<std::atomic<int>> handled;
  static std::atomic<int>* g_handled = nullptr;
  g_handled = &*handled;
  SupervisedChild child([&] {
    struct sigaction action {};
    action.sa_handler = [](int) { ++*g_handled; };
    ::sigaction(SIGUSR1, &action, nullptr);
    const long result = raw_call(SYS_shmdt);
    return result == 5 && *g_handled == 1 ? 0 : 1;
  });
  ASSERT_EQ(child.trouble(), "");
  const seccomp_notif notif = child.receive();
  ::kill(child.pid(), SIGUSR1);
  EXPECT_TRUE(child.listener().alive(notif.id));
  EXPECT_EQ(*handled, 0);
  EXPECT_TRUE(child.listener().respond(notif.id, 5));
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

// Before Linux 5.14 it is handed over first, and answered then.
TEST(ListenerTest, ADescriptorComesWithTheAnswerOrBeforeIt) {
  constexpr int kHighest = 63;
  for (const bool in_one_step : {true, false}) {
    SupervisedChild child([] {
      const auto fd = static_cast<int>(raw_call(SYS_shmdt));
      struct stat status {};
      return fd == kHighest && ::fstat(fd, &status) == 0 && status.st_size == 5 &&
                     (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0
                 ? 0
                 : 1;
    });
    ASSERT_EQ(child.trouble(), "");
    KernelFeatures features;
    if (!in_one_step) features.mark_absent(KernelFeature::kAddfdSend);
    child.listener().use(features);
    const UniqueFd file(::memfd_create("lent", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(file.get(), 5), 0);
    const seccomp_notif notif = child.receive();
    const LentDescriptor lent(file.get());
    if (!in_one_step) {
      const auto refused = child.listener().respond_with_fd_as(notif.id, file.get(), kHighest);
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error(), Errno(EINVAL));
    }
    const auto number = lent.lend_as_answer(child.listener(), notif.id, child.pid());
    ASSERT_TRUE(number);
    EXPECT_EQ(*number, kHighest);
    EXPECT_EQ(exit_status_of(child.child()), 0);
  }
}

TEST(ListenerTest, SyncWakeUpIsUsedOrKnownToBeAbsent) {
  SupervisedChild child([] { return raw_call(SYS_shmdt) == 3 ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  KernelFeatures features;
  child.listener().use(features);
  const bool has = ::ioctl(child.listener().fd(), SECCOMP_IOCTL_NOTIF_SET_FLAGS,
                           SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) == 0;
  EXPECT_EQ(features.usable(KernelFeature::kSyncWakeUp), has);
  EXPECT_TRUE(child.listener().respond(child.receive().id, 3));
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

}  // namespace
}  // namespace shmvisor
