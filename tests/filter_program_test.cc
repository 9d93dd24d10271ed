#include "policy/filter/filter_program.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <ostream>
#include <utility>

#include "emulation/abi/call_numbers.h"
#include "supervisor/kernel/seccomp_install.h"
#include "supervisor/kernel/uapi.h"
#include "tests/bpf_machine.h"
#include "tests/i386_call.h"

namespace shmvisor {
namespace {

constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr std::uint32_t kNotify = SECCOMP_RET_USER_NOTIF;
constexpr std::uint32_t kTrace = SECCOMP_RET_TRACE;
constexpr std::uint32_t kNoSuchCall = SECCOMP_RET_ERRNO | ENOSYS;

constexpr int kLastNumber = 600;
// Not what libseccomp believes.
constexpr const CallNumbers& kX = kX86_64Calls;
constexpr const CallNumbers& kI = kI386Calls;
constexpr std::array kNative = {kX.shmget, kX.shmat, kX.shmctl, kX.shmdt};
constexpr std::array kTraced = {kX.shmat, kX.shmdt};
constexpr std::array kCompat = {kI.shmget, kI.shmctl, kI.shmat, kI.shmdt};
constexpr std::array kNativeNamespace = {kX.unshare, kX.setns};
constexpr std::array kCompatNamespace = {kI.unshare, kI.setns};
constexpr int kNativeClone = kX.clone, kCompatClone = kI.clone;
constexpr int kCompatIpc = *kI.ipc;
constexpr std::uint64_t kSemget = 2, kShmat = ipc_subcall::kShmat, kShmget = ipc_subcall::kShmget,
                        kShmctl = ipc_subcall::kShmctl;

template <std::size_t n>
bool is_one_of(int number, const std::array<int, n>& numbers) {
  return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
}

seccomp_data call(std::uint32_t architecture, int number, std::uint64_t first_argument = 0) {
  seccomp_data data{};
  data.arch = architecture;
  data.nr = number;
  // So that a look at the wrong argument, or at the wrong half of one, shows.
  std::fill(std::begin(data.args), std::end(data.args), 0x0000001700000017U);
  data.args[0] = first_argument;
  return data;
}

class FilterProgram : public testing::Test {
 protected:
  void SetUp() override {
    auto program = build_filter_program();
    ASSERT_TRUE(program) << "errno " << program.error().value();
    program_ = *std::move(program);
  }

  [[nodiscard]] std::uint32_t answer(const seccomp_data& data) const {
    const auto verdict = BpfMachine(program_).run(data);
    EXPECT_TRUE(verdict) << "the program is not well-formed";
    return verdict ? verdict->value : SECCOMP_RET_KILL_PROCESS;
  }

  std::vector<sock_filter> program_;
};

TEST_F(FilterProgram, NotifiesTheFourNativeCallsAndChangesOfNamespaceOnly) {
  for (int number = 0; number <= kLastNumber; ++number) {
    EXPECT_EQ(answer(call(AUDIT_ARCH_X86_64, number)),
              is_one_of(number, kNative) || is_one_of(number, kNativeNamespace) ? kNotify : kAllow)
        << "number " << number;
  }
  for (const int number : {-1, -2, 1000, 0x3fffffff, std::numeric_limits<int>::min()}) {
    EXPECT_EQ(answer(call(AUDIT_ARCH_X86_64, number)), kAllow) << "number " << number;
  }
}

TEST_F(FilterProgram, JudgesNativeCallsThatItAllowsByNumberAlone) {
  for (int number = 0; number <= kLastNumber; ++number) {
    const auto verdict = BpfMachine(program_).run(call(AUDIT_ARCH_X86_64, number));
    ASSERT_TRUE(verdict);
    EXPECT_EQ(verdict->cacheable,
              !is_one_of(number, kTraced) && number != kNativeClone && number != kX.unshare)
        << "number " << number;
  }
}

TEST_F(FilterProgram, AllowsUnsharesThatChangeNothing) {
  const auto verdict = [&](std::uint64_t flags) {
    return answer(call(AUDIT_ARCH_X86_64, kX.unshare, flags));
  };
  EXPECT_EQ(verdict(CLONE_VM), kAllow);
  EXPECT_EQ(verdict(CLONE_VM | CLONE_NEWIPC), kNotify);
  EXPECT_EQ(verdict(CLONE_VM | (std::uint64_t{1} << 32)), kNotify);
  EXPECT_EQ(verdict(0), kNotify);
}

TEST_F(FilterProgram, NotifiesClonesWithAnIpcNamespaceOnly) {
  constexpr std::uint64_t kAllButNewIpc = 0xffffffffU & ~std::uint64_t{CLONE_NEWIPC};
  for (const auto& [architecture, number] :
       {std::pair<std::uint32_t, int>{AUDIT_ARCH_X86_64, kNativeClone},
        {AUDIT_ARCH_I386, kCompatClone}}) {
    EXPECT_EQ(answer(call(architecture, number, CLONE_NEWIPC)), kNotify);
    EXPECT_EQ(answer(call(architecture, number, CLONE_NEWIPC | CLONE_NEWUSER | SIGCHLD)), kNotify);
    EXPECT_EQ(answer(call(architecture, number, kAllButNewIpc)), kAllow);
    EXPECT_EQ(answer(call(architecture, number, SIGCHLD)), kAllow);
  }
}

TEST_F(FilterProgram, TracesTwoNativeCallsWithOneArgument) {
  const std::uint64_t other_high = kTracedArgument ^ (std::uint64_t{1} << 32);
  for (int number = 0; number <= kLastNumber; ++number) {
    EXPECT_EQ(answer(call(AUDIT_ARCH_X86_64, number, kTracedArgument)) == kTrace,
              is_one_of(number, kTraced))
        << "number " << number;
    EXPECT_NE(answer(call(AUDIT_ARCH_I386, number, kTracedArgument)), kTrace);
    EXPECT_NE(answer(call(AUDIT_ARCH_X86_64, number | kX32Bit, kTracedArgument)), kTrace);
  }
  for (const int number : kTraced) {
    EXPECT_EQ(answer(call(AUDIT_ARCH_X86_64, number, kTracedArgument + 1)), kNotify);
    EXPECT_EQ(answer(call(AUDIT_ARCH_X86_64, number, other_high)), kNotify);
  }
}

TEST_F(FilterProgram, JudgesCompatCallsOtherThanIpcByNumberAlone) {
  for (int number = 0; number <= kLastNumber; ++number) {
    const auto verdict = BpfMachine(program_).run(call(AUDIT_ARCH_I386, number));
    ASSERT_TRUE(verdict);
    EXPECT_EQ(verdict->cacheable, number != kCompatIpc && number != kCompatClone)
        << "number " << number;
  }
}

TEST_F(FilterProgram, RefusesTheFourX32CallsAndNotifiesChangesOfNamespace) {
  for (int number = 0; number <= kLastNumber; ++number) {
    const std::uint32_t other = is_one_of(number, kNativeNamespace) ? kNotify : kAllow;
    EXPECT_EQ(answer(call(AUDIT_ARCH_X86_64, number | kX32Bit)),
              is_one_of(number, kNative) ? kNoSuchCall : other)
        << "x32 number " << number;
  }
}

TEST_F(FilterProgram, NotifiesTheFourSeparateCompatCallsAndChangesOfNamespaceOnly) {
  for (int number = 0; number <= kLastNumber; ++number) {
    EXPECT_EQ(answer(call(AUDIT_ARCH_I386, number)),
              is_one_of(number, kCompat) || is_one_of(number, kCompatNamespace) ? kNotify : kAllow)
        << "i386 number " << number;
    // The bit means nothing to i386: no such call, so the kernel says so.
    EXPECT_EQ(answer(call(AUDIT_ARCH_I386, number | kX32Bit)), kAllow) << "number " << number;
  }
}

TEST_F(FilterProgram, NotifiesTheShmSubcallsOfIpcWhateverItsVersion) {
  for (const std::uint64_t upper : {0x0U, 0x10000U, 0x20000U, 0x7fff0000U, 0xffff0000U}) {
    for (std::uint64_t subcall = 0; subcall <= 0x200; ++subcall) {
      const bool shm = subcall >= kShmat && subcall <= kShmctl;
      EXPECT_EQ(answer(call(AUDIT_ARCH_I386, kCompatIpc, upper | subcall)), shm ? kNotify : kAllow)
          << "sub-call " << subcall << " with " << std::hex << upper;
    }
    for (const std::uint64_t subcall : {0x1517U, 0x8017U, 0xffffU}) {
      EXPECT_EQ(answer(call(AUDIT_ARCH_I386, kCompatIpc, upper | subcall)), kAllow);
    }
  }
}

TEST_F(FilterProgram, RefusesEveryCallOfOtherArchitectures) {
  for (const std::uint32_t architecture :
       {std::uint32_t{AUDIT_ARCH_AARCH64}, std::uint32_t{AUDIT_ARCH_ARM},
        std::uint32_t{AUDIT_ARCH_RISCV64}, std::uint32_t{AUDIT_ARCH_S390X}, 0U, 0xffffffffU}) {
    for (int number = 0; number <= kLastNumber; ++number) {
      EXPECT_EQ(answer(call(architecture, number)), kNoSuchCall)
          << "number " << number << " of " << std::hex << architecture;
    }
  }
}

TEST_F(FilterProgram, StaysShort) {
  // Run at every shm call, and at every ipc(2) of i386; 56 instructions with libseccomp 2.5.4.
  EXPECT_LE(program_.size(), 60U);
}

TEST(BpfMachine, RefusesWhatTheKernelRefuses) {
  const seccomp_data data = call(AUDIT_ARCH_X86_64, 0);
  const std::array<sock_filter, 1> no_return = {{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)}};
  EXPECT_FALSE(BpfMachine(no_return).run(data));
  const std::array<sock_filter, 2> beyond = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, sizeof(seccomp_data)),
      BPF_STMT(BPF_RET | BPF_K, kAllow),
  }};
  EXPECT_FALSE(BpfMachine(beyond).run(data));
  const std::array<sock_filter, 2> half_word = {{
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0),
      BPF_STMT(BPF_RET | BPF_K, kAllow),
  }};
  EXPECT_FALSE(BpfMachine(half_word).run(data));
}

// From here on the program is installed for real, in a child that ends with the test.

constexpr int kMilliseconds = 30000;
constexpr int kSkipped = 77;

/// Runs `body` in a forked child and gives its exit status, or 128 + the signal that ended it.
/// The child dies with the test, or by alarm(2) when it hangs.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::alarm(kMilliseconds / 1000);
    ::_exit(body());
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// Installs the program on the calling process.
Result<UniqueFd> install(InstallFlags flags = {}) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Errno::current();
  auto program = build_filter_program();
  if (!program) return program.error();
  return install_filter(*program, flags);
}

/// Answers the next notification with `value`; its data, or the errno of what went wrong.
Result<seccomp_data> answer_one(const UniqueFd& listener, std::int64_t value) {
  pollfd ready = {listener.get(), POLLIN, 0};
  if (::poll(&ready, 1, kMilliseconds) != 1) return Errno(ETIMEDOUT);
  seccomp_notif request{};
  if (::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_RECV, &request) != 0) return Errno::current();
  seccomp_notif_resp response{};
  response.id = request.id;
  response.val = value;
  if (::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_SEND, &response) != 0) return Errno::current();
  return request.data;
}

/// Runs `calls` in a grandchild under the listener while the child answers each of `expected`
/// (numbers, by `architecture`) with kAnswer. 0 when all was as expected.
constexpr int kAnswer = 424242;
int serve(std::uint32_t architecture, std::span<const int> expected,
          const std::function<int()>& calls) {
  return in_child([&] {
    auto listener = install();
    if (!listener) return 10;
    const pid_t caller = ::fork();
    if (caller == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      listener->reset();
      ::_exit(calls());
    }
    if (caller < 0) return 11;
    for (const int number : expected) {
      const auto data = answer_one(*listener, kAnswer);
      if (!data) return 12;
      if (data->nr != number || data->arch != architecture) return 13;
    }
    int status = 0;
    if (::waitpid(caller, &status, 0) != caller || !WIFEXITED(status)) return 14;
    return WEXITSTATUS(status);
  });
}

TEST(InstalledFilter, NotifiesTheFourCallsAndLeavesOthersAlone) {
  static constexpr std::array kCalls = kNative;
  const int status = serve(AUDIT_ARCH_X86_64, kCalls, [] {
    for (const int number : kCalls) {
      if (::syscall(number, 0x1234, 1, 0) != kAnswer) return 1;
    }
    return ::syscall(SYS_getppid) == ::getppid() && ::getppid() > 1 ? 0 : 2;
  });
  EXPECT_EQ(status, 0);
}

TEST(InstalledFilter, RefusesX32Calls) {
  const int status = in_child([] {
    if (!install()) return 10;
    for (const int number : kNative) {
      errno = 0;
      if (::syscall(number | kX32Bit, 0, 1, 0) != -1 || errno != ENOSYS) return 1;
    }
    return 0;
  });
  EXPECT_EQ(status, 0);
}

/// Whether the kernel has the i386 entry at all: without it int 0x80 is a fault.
TEST(InstalledFilter, NotifiesCompatShm) {
  if (!has_i386_calls()) GTEST_SKIP() << "this kernel has no i386 system calls";
  static constexpr std::array kCalls = {kI.shmget, kI.shmctl, kI.shmat, kI.shmdt, kCompatIpc};
  const int status = serve(AUDIT_ARCH_I386, kCalls, [] {
    for (const int number : kCalls) {
      if (i386_call(number, 0x10000 | kShmget, 0, 1) != kAnswer) return 1;
    }
    return 0;
  });
  EXPECT_EQ(status, 0);
}

TEST(InstallFilter, SaysWhenAChainHasAListenerAlready) {
  const int status = in_child([] {
    auto first = install();
    if (!first) return 10;
    if ((::fcntl(first->get(), F_GETFD) & FD_CLOEXEC) == 0) return 1;
    const auto second = install();
    if (second || second.error() != Errno(EBUSY)) return 2;
    return 0;
  });
  EXPECT_EQ(status, 0);
}

TEST(InstallFilter, SaysWhenAProgramIsNone) {
  const int status = in_child([] {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    const auto empty = install_filter({}, {});
    if (empty || empty.error() != Errno(EINVAL)) return 1;
    const std::vector<sock_filter> endless(65536);
    const auto too_long = install_filter(endless, {});
    if (too_long || too_long.error() != Errno(E2BIG)) return 2;
    return 0;
  });
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace shmvisor
