// StoppedThread, on children that are parked in a notified call: what it runs in them, and how it
// lets them go.
#include "supervisor/inject/stopped_thread.h"

#include <array>
#include <atomic>
#include <csignal>

#include "supervisor/procfs/task_status.h"
#include "tests/held_child.h"

namespace shmvisor {
namespace {

using StoppedThreadTest = HeldChildTest;

TEST_F(StoppedThreadTest, RunsCallsInTheChildAndSetsTheResult) {
  SupervisedChild child([] {
    const long address = raw_call(SYS_shmdt, 1, 2, 3);
    auto* const page = reinterpret_cast<char*>(address);
    page[0] = 'x';  // it is there
    return page[kPage - 1];
  });
  ASSERT_EQ(child.trouble(), "");
  auto stop = hold(child);
  ASSERT_TRUE(stop) << stop.error().value();
  const auto mapped = stop->call(Abi::kX86_64, RemoteCall::kMmap, anonymous_page());
  ASSERT_TRUE(mapped);
  ASSERT_GT(*mapped, 0);
  stop->set_result(*mapped);
  EXPECT_TRUE(stop->release());
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST_F(StoppedThreadTest, ErrorsOfTheKernelAreResults) {
  SupervisedChild child([] { return raw_call(SYS_shmdt) == -EINVAL ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  auto stop = hold(child);
  ASSERT_TRUE(stop);
  const auto closed = stop->call(Abi::kX86_64, RemoteCall::kClose, {99999});
  ASSERT_TRUE(closed);
  EXPECT_EQ(*closed, -EBADF);
  const auto unmapped = stop->call(Abi::kX86_64, RemoteCall::kMunmap, {1, kPage});
  ASSERT_TRUE(unmapped);
  EXPECT_EQ(*unmapped, -EINVAL);
  const auto waited = stop->call(Abi::kX86_64, RemoteCall::kWait4, {~std::uint64_t{0}, 0, 0, 0});
  ASSERT_TRUE(waited);
  EXPECT_EQ(*waited, -ECHILD);
  stop->set_result(-EINVAL);
  EXPECT_TRUE(stop->release());
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST_F(StoppedThreadTest, WithoutAResultTheAnswerStands) {
  SupervisedChild child([] { return raw_call(SYS_shmdt) == 0 ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  {
    auto stop = hold(child);
    ASSERT_TRUE(stop);
    ASSERT_TRUE(stop->call(Abi::kX86_64, RemoteCall::kClose, {99999}));
  }
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST_F(StoppedThreadTest, ToldToRepeatItsCallItMakesItAgain) {
  SupervisedChild child([] { return raw_call(SYS_shmdt, 1, 2, 3) == 7 ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  auto stop = hold(child);
  ASSERT_TRUE(stop);
  ASSERT_TRUE(stop->call(Abi::kX86_64, RemoteCall::kClose, {99999}));
  stop->set_repeating();
  stop->set_result(-EPERM);
  EXPECT_FALSE(stop->release()) << "the result did not reach it";
  const seccomp_notif again = child.receive();
  EXPECT_EQ(again.data.nr, SYS_shmdt);
  EXPECT_EQ(again.data.args[0], 1U);
  EXPECT_EQ(again.data.args[2], 3U);
  EXPECT_TRUE(child.listener().respond(again.id, 7));
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

/// Every general register around one call of shmdt, but rcx and r11, which `syscall` takes.
struct AllRegisters {
  std::array<std::uint64_t, 13> values{};
  long result = 0;
};

__attribute__((noinline)) void call_with_registers(AllRegisters* after) {
  asm volatile(
      "push %%rbp\n\t"
      "push %%rdi\n\t"
      "mov $0x1111, %%rbx\n\t"
      "mov $0x2222, %%rdx\n\t"
      "mov $0x3333, %%rsi\n\t"
      "mov $0x4444, %%rdi\n\t"
      "mov $0x5555, %%rbp\n\t"
      "mov $0x6666, %%r8\n\t"
      "mov $0x7777, %%r9\n\t"
      "mov $0x8888, %%r10\n\t"
      "mov $0x9999, %%r12\n\t"
      "mov $0xaaaa, %%r13\n\t"
      "mov $0xbbbb, %%r14\n\t"
      "mov $0xcccc, %%r15\n\t"
      "mov $67, %%eax\n\t"
      "syscall\n\t"
      "mov (%%rsp), %%rcx\n\t"
      "mov %%rbx, 0(%%rcx)\n\t"
      "mov %%rdx, 8(%%rcx)\n\t"
      "mov %%rsi, 16(%%rcx)\n\t"
      "mov %%rdi, 24(%%rcx)\n\t"
      "mov %%rbp, 32(%%rcx)\n\t"
      "mov %%r8, 40(%%rcx)\n\t"
      "mov %%r9, 48(%%rcx)\n\t"
      "mov %%r10, 56(%%rcx)\n\t"
      "mov %%r12, 64(%%rcx)\n\t"
      "mov %%r13, 72(%%rcx)\n\t"
      "mov %%r14, 80(%%rcx)\n\t"
      "mov %%r15, 88(%%rcx)\n\t"
      "mov %%rax, 104(%%rcx)\n\t"
      "pop %%rdi\n\t"
      "pop %%rbp\n\t"
      :
      : "D"(after)
      : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
        "memory");
}

TEST_F(StoppedThreadTest, RegistersAreUntouched) {
  SharedPage<AllRegisters> after;
  SupervisedChild child([&] {
    call_with_registers(&*after);
    return 0;
  });
  ASSERT_EQ(child.trouble(), "");
  auto stop = hold(child);
  ASSERT_TRUE(stop);
  ASSERT_TRUE(stop->call(Abi::kX86_64, RemoteCall::kMmap, anonymous_page()));
  ASSERT_TRUE(stop->call(Abi::kX86_64, RemoteCall::kClose, {99999}));
  stop->set_result(0x7fff'ffff'f000);
  EXPECT_TRUE(stop->release());
  EXPECT_EQ(exit_status_of(child.child()), 0);
  for (std::size_t at = 0; at < 12; ++at) {
    EXPECT_EQ(after->values[at], 0x1111 * (at + 1)) << "register " << at;
  }
  EXPECT_EQ(after->result, 0x7fff'ffff'f000);
}

TEST_F(StoppedThreadTest, SignalMaskAndDispositionsAreUntouched) {
  SupervisedChild child([] {
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigaddset(&mask, SIGRTMIN + 3);
    ::sigprocmask(SIG_SETMASK, &mask, nullptr);
    ::signal(SIGTRAP, SIG_IGN);
    ::signal(SIGSTOP, SIG_DFL);
    raw_call(SYS_shmdt);
    sigset_t now;
    ::sigprocmask(SIG_SETMASK, nullptr, &now);
    for (int number = 1; number < 65; ++number) {
      if (sigismember(&now, number) != sigismember(&mask, number)) return number;
    }
    struct sigaction trap {};
    ::sigaction(SIGTRAP, nullptr, &trap);
    return trap.sa_handler == SIG_IGN ? 0 : 100;
  });
  ASSERT_EQ(child.trouble(), "");
  auto stop = hold(child);
  ASSERT_TRUE(stop);
  ASSERT_TRUE(stop->call(Abi::kX86_64, RemoteCall::kMmap, anonymous_page()));
  EXPECT_TRUE(stop->release());
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

std::atomic<int>* g_handled = nullptr;
void note_signal(int) { ++*g_handled; }

TEST_F(StoppedThreadTest, SignalsWaitUntilItIsLetGo) {
  SharedPage<std::atomic<int>> handled;
  g_handled = &*handled;
  SupervisedChild child([] {
    ::signal(SIGUSR1, note_signal);
    ::signal(SIGRTMIN, note_signal);
    const long result = raw_call(SYS_shmdt);
    return result == 77 && *g_handled == 2 ? 0 : 1;
  });
  ASSERT_EQ(child.trouble(), "");
  auto stop = hold(child);
  ASSERT_TRUE(stop);
  ::kill(child.pid(), SIGUSR1);
  ::kill(child.pid(), SIGRTMIN);
  ASSERT_TRUE(stop->call(Abi::kX86_64, RemoteCall::kMmap, anonymous_page()));
  EXPECT_EQ(*handled, 0) << "no handler runs between our calls";
  stop->set_result(77);
  EXPECT_TRUE(stop->release());
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

// SIGSTOP cannot be blocked; it takes effect when the child is let go, and SIGCONT ends it.
TEST_F(StoppedThreadTest, AStopSignalTakesEffectAfterwards) {
  for (const bool before : {true, false}) {
    SupervisedChild child([] { return raw_call(SYS_shmdt) == 5 ? 0 : 1; });
    ASSERT_EQ(child.trouble(), "");
    const seccomp_notif notif = child.receive();
    if (before) ::kill(child.pid(), SIGSTOP);
    auto attached = asked_to_stop(child.pid());
    ASSERT_TRUE(attached);
    ASSERT_TRUE(child.listener().respond(notif.id, 0));
    auto stop = std::move(*attached).wait_until_stopped();
    ASSERT_TRUE(stop);
    if (!before) ::kill(child.pid(), SIGSTOP);
    const auto mapped = stop->call(Abi::kX86_64, RemoteCall::kMmap, anonymous_page());
    ASSERT_TRUE(mapped) << "errno " << mapped.error().value();
    EXPECT_GT(*mapped, 0);
    stop->set_result(5);
    EXPECT_TRUE(stop->release());
    const Result<int> stopped = child.child().wait(WUNTRACED);
    ASSERT_TRUE(stopped) << "it does not stop: sent " << (before ? "before" : "while held");
    EXPECT_TRUE(WIFSTOPPED(*stopped));
    ::kill(child.pid(), SIGCONT);
    EXPECT_EQ(exit_status_of(child.child()), 0);
  }
}

// The halves of a call that blocks in the kernel: shmdt is notified once more.
TEST_F(StoppedThreadTest, ACallInTwoHalves) {
  SupervisedChild child([] { return raw_call(SYS_shmdt, 0x1000) == 6 ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  auto stop = hold(child);
  ASSERT_TRUE(stop);
  auto begun = stop->begin_call(Abi::kX86_64, RemoteCall::kShmdt, {0x2000});
  ASSERT_TRUE(begun);
  EXPECT_FALSE(begun->over());
  const seccomp_notif inner = child.receive();
  EXPECT_EQ(inner.data.args[0], 0x2000U);
  EXPECT_TRUE(child.listener().respond(inner.id, 42));
  const auto result = begun->finish();
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, 42);
  stop->set_result(6);
  EXPECT_TRUE(stop->release());
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST_F(StoppedThreadTest, AClonedProcessIsHeldAndKilledUnseen) {
  SupervisedChild child([] {
    raw_call(SYS_shmdt);
    return ::waitpid(-1, nullptr, __WALL) == -1 && errno == ECHILD ? 0 : 1;
  });
  ASSERT_EQ(child.trouble(), "");
  auto stop = hold(child);
  ASSERT_TRUE(stop);
  const auto cloned = stop->clone_stopped(Abi::kX86_64, CLONE_VM);
  ASSERT_TRUE(cloned) << "errno " << cloned.error().value();
  EXPECT_EQ(cloned->tid, cloned->pid_in_caller) << "one pid namespace";
  EXPECT_EQ(TaskStatus::read(cloned->tid)->ppid, child.pid());
  {
    auto lender = AttachedThread::adopt(cloned->tid).wait_until_stopped();
    ASSERT_TRUE(lender);
    const auto closed = lender->call(Abi::kX86_64, RemoteCall::kClose, {99999});
    ASSERT_TRUE(closed);
    EXPECT_EQ(*closed, -EBADF);
    lender->kill();
  }
  const auto reaped =
      stop->call(Abi::kX86_64, RemoteCall::kWait4,
                 {static_cast<std::uint64_t>(cloned->pid_in_caller), 0, std::uint64_t{__WALL}, 0});
  ASSERT_TRUE(reaped);
  EXPECT_EQ(*reaped, cloned->pid_in_caller);
  EXPECT_TRUE(stop->release());
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

}  // namespace
}  // namespace shmvisor
