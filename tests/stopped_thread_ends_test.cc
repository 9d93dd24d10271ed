// AttachedThread and StoppedThread, where the thread dies, is frozen, runs what it should not, or
// cannot be had.
#include <array>
#include <atomic>
#include <csignal>
#include <thread>

#include "supervisor/inject/stopped_thread.h"
#include "supervisor/procfs/task_status.h"
#include "tests/foreign_tracer.h"
#include "tests/frozen_group.h"
#include "tests/held_child.h"
#include "tests/i386_call.h"

namespace shmvisor {
namespace {

using StoppedThreadEndsTest = HeldChildTest;

TEST_F(StoppedThreadEndsTest, WhoCannotBeSeized) {
  Child gone([] { return 0; });
  const pid_t gone_pid = gone.pid();
  EXPECT_EQ(exit_status_of(gone), 0);
  EXPECT_EQ(AttachedThread::attach(gone_pid).error(), Errno(ESRCH));

  Child traced([] { return ::pause(); });
  ForeignTracer tracer(traced.pid());
  ASSERT_TRUE(tracer.traces());
  EXPECT_EQ(AttachedThread::attach(traced.pid()).error(), Errno(EPERM));
  EXPECT_EQ(tracer.end(), 0);
}

TEST_F(StoppedThreadEndsTest, NobodyTracesItAfterwards) {
  SupervisedChild child([] {
    raw_call(SYS_shmdt);
    return ::pause();
  });
  ASSERT_EQ(child.trouble(), "");
  auto stop = hold(child);
  ASSERT_TRUE(stop);
  EXPECT_EQ(TaskStatus::read(child.pid())->tracer_pid, getpid());
  StoppedThread moved = std::move(*stop);
  EXPECT_TRUE(moved.release());
  EXPECT_FALSE(moved.release()) << "once";
  EXPECT_EQ(TaskStatus::read(child.pid())->tracer_pid, 0);
}

TEST_F(StoppedThreadEndsTest, KilledWhileHeld) {
  SupervisedChild child([] { return static_cast<int>(raw_call(SYS_shmdt)); });
  ASSERT_EQ(child.trouble(), "");
  auto stop = hold(child);
  ASSERT_TRUE(stop);
  ::kill(child.pid(), SIGKILL);
  const auto mapped = stop->call(Abi::kX86_64, RemoteCall::kMmap, anonymous_page());
  ASSERT_FALSE(mapped);
  EXPECT_EQ(mapped.error(), Errno(ESRCH));
  EXPECT_FALSE(stop->release());
  const Result<int> status = child.child().wait(0);
  ASSERT_TRUE(status) << "its exit status is the parent's to have";
  EXPECT_TRUE(WIFSIGNALED(*status));
  EXPECT_EQ(WTERMSIG(*status), SIGKILL);
}

TEST_F(StoppedThreadEndsTest, KilledBeforeItStops) {
  SupervisedChild child([] { return static_cast<int>(raw_call(SYS_shmdt)); });
  ASSERT_EQ(child.trouble(), "");
  const seccomp_notif notif = child.receive();
  auto attached = asked_to_stop(child.pid());
  ASSERT_TRUE(attached);
  ::kill(child.pid(), SIGKILL);
  (void)child.listener().respond(notif.id, 0);
  // It may still stop for us on its way out; what counts is that it ends and is said to be gone.
  auto stop = std::move(*attached).wait_until_stopped();
  if (stop) {
    EXPECT_FALSE(stop->call(Abi::kX86_64, RemoteCall::kMmap, anonymous_page()));
    EXPECT_FALSE(stop->release());
  }
  const Result<int> status = child.child().wait(0);
  ASSERT_TRUE(status);
  EXPECT_TRUE(WIFSIGNALED(*status));
}

TEST_F(StoppedThreadEndsTest, KilledJustBeforeItIsLetGo) {
  SupervisedChild child([] { return static_cast<int>(raw_call(SYS_shmdt)); });
  ASSERT_EQ(child.trouble(), "");
  auto stop = hold(child);
  ASSERT_TRUE(stop);
  ::kill(child.pid(), SIGKILL);
  EXPECT_FALSE(stop->release());
  ASSERT_TRUE(child.child().wait(0));
}

// Another thread may have put anything there. The wait for our call is bounded.
TEST_F(StoppedThreadEndsTest, AnEndlessLoopInsteadOfTheCall) {
  SupervisedChild child([] { return raw_call(SYS_shmdt) == 8 ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  auto stop = hold(child);
  ASSERT_TRUE(stop);
  const std::uint64_t entry = entry_of(child.pid());
  const auto code = replace_code(child.pid(), entry, {0xeb, 0xfe});  // jmp to itself
  const auto mapped = stop->call(Abi::kX86_64, RemoteCall::kMmap, anonymous_page());
  ASSERT_FALSE(mapped);
  EXPECT_EQ(mapped.error(), Errno(EACCES));
  replace_code(child.pid(), entry, code);
  stop->set_result(8);
  EXPECT_TRUE(stop->release()) << "and it goes on where it was";
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

// The same number is another call through the other entry: munmap's is execve's. It must not run.
TEST_F(StoppedThreadEndsTest, AnotherAbiInsteadOfTheCall) {
  if (!has_i386_calls()) GTEST_SKIP() << "this kernel has no i386 system calls";
  for (const RemoteCall call : {RemoteCall::kMunmap, RemoteCall::kClose, RemoteCall::kMmap}) {
    SupervisedChild child([] { return raw_call(SYS_shmdt) == 9 ? 0 : 1; });
    ASSERT_EQ(child.trouble(), "");
    auto stop = hold(child);
    ASSERT_TRUE(stop);
    const std::uint64_t entry = entry_of(child.pid());
    const auto code = replace_code(child.pid(), entry, {0xcd, 0x80});  // int $0x80
    const auto called = stop->call(Abi::kX86_64, call, anonymous_page());
    ASSERT_FALSE(called) << "entered, and answered " << *called;
    EXPECT_EQ(called.error(), Errno(EACCES));
    replace_code(child.pid(), entry, code);
    stop->set_result(9);
    EXPECT_TRUE(stop->release()) << "and it goes on where it was";
    EXPECT_EQ(exit_status_of(child.child()), 0);
  }
}

TEST_F(StoppedThreadEndsTest, AFaultInsteadOfTheCall) {
  SupervisedChild child([] { return static_cast<int>(raw_call(SYS_shmdt)); });
  ASSERT_EQ(child.trouble(), "");
  auto stop = hold(child);
  ASSERT_TRUE(stop);
  replace_code(child.pid(), entry_of(child.pid()), {0x0f, 0x0b});  // ud2
  const auto mapped = stop->call(Abi::kX86_64, RemoteCall::kMmap, anonymous_page());
  ASSERT_FALSE(mapped);
  EXPECT_EQ(mapped.error(), Errno(EACCES));
  stop->release();
  const Result<int> status = child.child().wait(0);
  ASSERT_TRUE(status);
  EXPECT_TRUE(WIFSIGNALED(*status)) << "its fault is its own";
  EXPECT_EQ(WTERMSIG(*status), SIGILL);
}

// Whoever kills it waits for a moment, and not until it is thawed.
TEST_F(StoppedThreadEndsTest, AFrozenProcessIsKilledWithoutWaitingForItsEnd) {
  SupervisedChild child([] { return static_cast<int>(raw_call(SYS_shmdt)); });
  ASSERT_EQ(child.trouble(), "");
  FrozenGroup group;
  if (!group.there()) GTEST_SKIP() << "no control groups (v1) that freeze";
  std::atomic<bool> killed{false};
  std::atomic<bool> abandoned{false};
  // What it abandons is let go when the thread ends.
  std::thread tracer([&] {
    KickTimer::allow_on_this_thread();
    auto stop = hold(child);
    if (!stop) return;
    if (group.take(child.pid()) && group.freeze()) {
      stop->kill();
      killed.store(true);
    }
    abandoned.store(Tracee::this_thread_abandoned_one());
  });
  for (int looks = 0; looks < 3000 && !killed.load(); ++looks) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(killed.load()) << "it waits for the thaw";
  group.thaw();
  tracer.join();
  EXPECT_TRUE(abandoned.load());
  const auto status = child.child().wait(0);
  ASSERT_TRUE(status);
  EXPECT_TRUE(WIFSIGNALED(*status));
}

}  // namespace
}  // namespace shmvisor
