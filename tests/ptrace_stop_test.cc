// PtraceStop, on children that are parked in a notified call.
#include "supervisor/inject/ptrace_stop.h"

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <thread>

#include "supervisor/inject/kick_timer.h"
#include "supervisor/procfs/task_status.h"
#include "tests/foreign_tracer.h"
#include "tests/frozen_group.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kPage = 4096;

class PtraceStopTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    KickTimer::install_handler(nullptr);
    KickTimer::allow_on_this_thread();
  }

  /// Takes the child out of its call and holds it.
  static Result<PtraceStop> hold(SupervisedChild& child) {
    const seccomp_notif notif = child.receive();
    auto stop = PtraceStop::seize(static_cast<pid_t>(notif.pid));
    if (!stop) return stop.error();
    if (const auto sent = child.listener().respond(notif.id, 0); !sent) return sent.error();
    if (const auto held = stop->wait_until_stopped(); !held) return held.error();
    return stop;
  }
  static std::array<std::uint64_t, 6> anonymous_page() {
    return {0, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, ~std::uint64_t{0}, 0};
  }
  /// Where the held child would enter the kernel again.
  static std::uint64_t entry_of(pid_t pid) {
    user_regs_struct registers{};
    EXPECT_EQ(::ptrace(PTRACE_GETREGS, pid, 0, &registers), 0);
    return registers.rip - 2;
  }
  /// Puts bytes where the child would enter the kernel again; answers what was there.
  static std::array<std::uint8_t, 2> replace_code(pid_t pid, std::uint64_t address,
                                                  std::array<std::uint8_t, 2> code) {
    std::array<std::uint8_t, 2> before{};
    const std::string path = "/proc/" + std::to_string(pid) + "/mem";
    const UniqueFd memory(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_EQ(::pread(memory.get(), before.data(), 2, static_cast<off_t>(address)), 2);
    EXPECT_EQ(::pwrite(memory.get(), code.data(), 2, static_cast<off_t>(address)), 2);
    return before;
  }
};

TEST_F(PtraceStopTest, RunsCallsInTheChildAndSetsTheResult) {
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

TEST_F(PtraceStopTest, ErrorsOfTheKernelAreResults) {
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

TEST_F(PtraceStopTest, WithoutAResultTheAnswerStands) {
  SupervisedChild child([] { return raw_call(SYS_shmdt) == 0 ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  {
    auto stop = hold(child);
    ASSERT_TRUE(stop);
    ASSERT_TRUE(stop->call(Abi::kX86_64, RemoteCall::kClose, {99999}));
  }
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST_F(PtraceStopTest, ToldToRepeatItsCallItMakesItAgain) {
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

TEST_F(PtraceStopTest, RegistersAreUntouched) {
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

TEST_F(PtraceStopTest, SignalMaskAndDispositionsAreUntouched) {
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

TEST_F(PtraceStopTest, SignalsWaitUntilItIsLetGo) {
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
TEST_F(PtraceStopTest, AStopSignalTakesEffectAfterwards) {
  for (const bool before : {true, false}) {
    SupervisedChild child([] { return raw_call(SYS_shmdt) == 5 ? 0 : 1; });
    ASSERT_EQ(child.trouble(), "");
    const seccomp_notif notif = child.receive();
    if (before) ::kill(child.pid(), SIGSTOP);
    auto stop = PtraceStop::seize(child.pid());
    ASSERT_TRUE(stop);
    ASSERT_TRUE(child.listener().respond(notif.id, 0));
    ASSERT_TRUE(stop->wait_until_stopped());
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

TEST_F(PtraceStopTest, KilledWhileHeld) {
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

TEST_F(PtraceStopTest, KilledBeforeItStops) {
  SupervisedChild child([] { return static_cast<int>(raw_call(SYS_shmdt)); });
  ASSERT_EQ(child.trouble(), "");
  const seccomp_notif notif = child.receive();
  auto stop = PtraceStop::seize(child.pid());
  ASSERT_TRUE(stop);
  ::kill(child.pid(), SIGKILL);
  (void)child.listener().respond(notif.id, 0);
  // It may still stop for us on its way out; what counts is that it ends and is said to be gone.
  if (stop->wait_until_stopped()) {
    EXPECT_FALSE(stop->call(Abi::kX86_64, RemoteCall::kMmap, anonymous_page()));
  }
  EXPECT_FALSE(stop->release());
  const Result<int> status = child.child().wait(0);
  ASSERT_TRUE(status);
  EXPECT_TRUE(WIFSIGNALED(*status));
}

TEST_F(PtraceStopTest, KilledJustBeforeItIsLetGo) {
  SupervisedChild child([] { return static_cast<int>(raw_call(SYS_shmdt)); });
  ASSERT_EQ(child.trouble(), "");
  auto stop = hold(child);
  ASSERT_TRUE(stop);
  ::kill(child.pid(), SIGKILL);
  EXPECT_FALSE(stop->release());
  ASSERT_TRUE(child.child().wait(0));
}

// Another thread may have put anything there. The wait for our call is bounded.
TEST_F(PtraceStopTest, AnEndlessLoopInsteadOfTheCall) {
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
TEST_F(PtraceStopTest, AnotherAbiInsteadOfTheCall) {
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

TEST_F(PtraceStopTest, AFaultInsteadOfTheCall) {
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

TEST_F(PtraceStopTest, WhoCannotBeSeized) {
  Child gone([] { return 0; });
  const pid_t gone_pid = gone.pid();
  EXPECT_EQ(exit_status_of(gone), 0);
  EXPECT_EQ(PtraceStop::seize(gone_pid).error(), Errno(ESRCH));

  Child traced([] { return ::pause(); });
  ForeignTracer tracer(traced.pid());
  ASSERT_TRUE(tracer.traces());
  EXPECT_EQ(PtraceStop::seize(traced.pid()).error(), Errno(EPERM));
  EXPECT_EQ(tracer.end(), 0);
}

TEST_F(PtraceStopTest, NobodyTracesItAfterwards) {
  SupervisedChild child([] {
    raw_call(SYS_shmdt);
    return ::pause();
  });
  ASSERT_EQ(child.trouble(), "");
  auto stop = hold(child);
  ASSERT_TRUE(stop);
  EXPECT_EQ(TaskStatus::read(child.pid())->tracer_pid, getpid());
  PtraceStop moved = std::move(*stop);
  EXPECT_TRUE(moved.release());
  EXPECT_FALSE(moved.release()) << "once";
  EXPECT_EQ(TaskStatus::read(child.pid())->tracer_pid, 0);
}

// The halves of a call that blocks in the kernel: shmdt is notified once more.
TEST_F(PtraceStopTest, ACallInTwoHalves) {
  SupervisedChild child([] { return raw_call(SYS_shmdt, 0x1000) == 6 ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  auto stop = hold(child);
  ASSERT_TRUE(stop);
  ASSERT_TRUE(stop->begin_call(Abi::kX86_64, RemoteCall::kShmdt, {0x2000}));
  const seccomp_notif inner = child.receive();
  EXPECT_EQ(inner.data.args[0], 0x2000U);
  EXPECT_TRUE(child.listener().respond(inner.id, 42));
  const auto result = stop->finish_call(Abi::kX86_64);
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, 42);
  stop->set_result(6);
  EXPECT_TRUE(stop->release());
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST_F(PtraceStopTest, AClonedProcessIsHeldAndKilledUnseen) {
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
    PtraceStop lender = PtraceStop::adopt(cloned->tid);
    ASSERT_TRUE(lender.wait_until_stopped());
    const auto closed = lender.call(Abi::kX86_64, RemoteCall::kClose, {99999});
    ASSERT_TRUE(closed);
    EXPECT_EQ(*closed, -EBADF);
    lender.kill();
  }
  const auto reaped =
      stop->call(Abi::kX86_64, RemoteCall::kWait4,
                 {static_cast<std::uint64_t>(cloned->pid_in_caller), 0, std::uint64_t{__WALL}, 0});
  ASSERT_TRUE(reaped);
  EXPECT_EQ(*reaped, cloned->pid_in_caller);
  EXPECT_TRUE(stop->release());
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

// Whoever kills it waits for a moment, and not until it is thawed.
TEST_F(PtraceStopTest, AFrozenProcessIsKilledWithoutWaitingForItsEnd) {
  SupervisedChild child([] { return static_cast<int>(raw_call(SYS_shmdt)); });
  ASSERT_EQ(child.trouble(), "");
  FrozenGroup group;
  if (!group.there()) GTEST_SKIP() << "no control groups (v1) that freeze";
  std::atomic<bool> killed{false};
  std::atomic<bool> left{false};
  // What it leaves attached is let go when the thread ends.
  std::thread tracer([&] {
    KickTimer::allow_on_this_thread();
    auto stop = hold(child);
    if (!stop) return;
    stop->limit_waits();
    if (group.take(child.pid()) && group.freeze()) {
      stop->kill();
      killed.store(true);
    }
    left.store(PtraceStop::left_somebody_attached());
  });
  for (int looks = 0; looks < 3000 && !killed.load(); ++looks) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(killed.load()) << "it waits for the thaw";
  group.thaw();
  tracer.join();
  EXPECT_TRUE(left.load());
  const auto status = child.child().wait(0);
  ASSERT_TRUE(status);
  EXPECT_TRUE(WIFSIGNALED(*status));
}

}  // namespace
}  // namespace shmvisor
