// CallPage: what becomes of a call where the program hinders the page's code, or where the
// supervisor is gone.
#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>

#include "supervisor/inject/arch/page_code.h"
#include "supervisor/inject/arch/x86/page_slot.h"
#include "tests/call_page_fixture.h"

namespace shmvisor {
namespace {

using CallPageObstaclesTest = CallPageTest;

/// A page that cannot be executed any more: the fault is not the program's.
TEST_F(CallPageObstaclesTest, WithoutTheRightToExecuteCallsAreRunOneAtATime) {
  EXPECT_EQ(serve([&] {
              struct sigaction action {};
              action.sa_handler = [](int) { ::_exit(9); };
              ::sigaction(SIGSEGV, &action, nullptr);
              for (int round = 0; round < kEnough; ++round) {
                if (!attached(attach())) return 1;
              }
              seen_->descriptors = count_descriptors();
              ::mprotect(pointer(page_address()), kPage, PROT_READ);
              const long address = attach();
              if (!attached(address) || detach(address) != 0) return 2;
              struct sigaction now {};
              ::sigaction(SIGSEGV, nullptr, &now);
              if (now.sa_handler != action.sa_handler) return 3;
              return count_descriptors() == seen_->descriptors ? 0 : 4;
            }),
            0);
}

/// System call user dispatch refuses calls from anywhere but the program's own code.
TEST_F(CallPageObstaclesTest, CallsThatMayComeFromOnePlaceOnly) {
  const int status = serve([&] {
    struct sigaction action {};
    action.sa_handler = [](int) { ::_exit(9); };
    ::sigaction(SIGSYS, &action, nullptr);
    for (int round = 0; round < kEnough; ++round) {
      if (!attached(attach())) return 1;
    }
    // Above the page lie this program, its libraries and the vdso.
    const std::uint64_t above = page_address() + kPage;
    seen_->selector = 1;  // SYSCALL_DISPATCH_FILTER_BLOCK
    if (::prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, above, 0x7fff'ffff'f000 - above,
                &seen_->selector) != 0) {
      return 77;
    }
    const long address = attach();
    if (!attached(address)) return 2;
    if (detach(address) != 0) return 3;
    struct sigaction now {};
    ::sigaction(SIGSYS, nullptr, &now);
    return now.sa_handler == action.sa_handler ? 0 : 4;
  });
  if (status == 77) GTEST_SKIP() << "no PR_SET_SYSCALL_USER_DISPATCH (Linux 5.11)";
  EXPECT_EQ(status, 0);
}

/// A filter of the program's own that objects to the call at the end: the code faults there.
TEST_F(CallPageObstaclesTest, WhereTheEndIsForbiddenTheResultIsThereAllTheSame) {
  EXPECT_EQ(serve([&] {
              for (int round = 0; round < kEnough; ++round) {
                if (!attached(attach())) return 1;
              }
              constexpr std::uint32_t kFirstArgument = offsetof(seccomp_data, args);
              const auto low = static_cast<std::uint32_t>(kTracedArgument);
              sock_filter objects[] = {
                  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kFirstArgument),
                  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, low, 0, 1),
                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
              };
              const sock_fprog program = {4, objects};
              if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) return 2;
              seen_->descriptors = count_descriptors();
              if (!attached(attach())) return 3;
              return count_descriptors() == seen_->descriptors ? 0 : 4;
            }),
            0);
}

/// One that wants mmap traced, which without a tracer fails: the code is stopped in a call.
TEST_F(CallPageObstaclesTest, StoppedInACallItLeavesNoDescriptor) {
  EXPECT_EQ(serve([&] {
              for (int round = 0; round < kEnough; ++round) {
                if (!attached(attach())) return 1;
              }
              if (!answer_calls(SYS_mmap, SECCOMP_RET_TRACE)) return 2;
              seen_->descriptors = count_descriptors();
              if (attach() != -ENOSYS) return 3;
              return count_descriptors() == seen_->descriptors ? 0 : 4;
            }),
            0);
}

/// Code that looks like the page's but makes no call: it keeps 0x1234 as the result and ends.
TEST_F(CallPageObstaclesTest, ALieIsNoAddress) {
  EXPECT_EQ(serve([&] {
              for (int round = 0; round < kEnough; ++round) {
                if (!attached(attach())) return 1;
              }
              char* const page = pointer(page_address());
              std::array<char, kPage> code{};
              std::copy_n(page, code.size(), code.begin());
              auto lie = std::to_array<unsigned char>({
                  0x48, 0xc7, 0x43, 0x08, 0x34, 0x12, 0x00, 0x00,  // movq $0x1234,8(%rbx)
                  0xe9, 0x00, 0x00, 0x00, 0x00,                    // jmp to where it is told
              });
              const auto distance =
                  static_cast<std::int32_t>(x86::tell()) -
                  static_cast<std::int32_t>(page_code::entry(page_code::Task::kMap) + lie.size());
              std::memcpy(&lie[lie.size() - sizeof(distance)], &distance, sizeof(distance));
              std::copy(lie.begin(), lie.end(),
                        code.begin() +
                            static_cast<std::ptrdiff_t>(page_code::entry(page_code::Task::kMap)));
              if (::mmap(page, kPage, PROT_READ | PROT_WRITE | PROT_EXEC,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != page) {
                return 2;
              }
              std::copy(code.begin(), code.end(), page);
              return attach() == -EACCES ? 0 : 3;
            }),
            0);
}

/// As when the supervisor was killed meanwhile: it goes on to its end and gives everything back.
TEST_F(CallPageObstaclesTest, WithoutATracerItReturns) {
  EXPECT_EQ(
      serve([&] {
        for (int round = 0; round < kEnough; ++round) {
          if (!attached(attach())) return 1;
        }
        static x86::PageSlot slot{};
        slot.rdi = 1;
        slot.number = SYS_shmdt;
        slot.tells = 1;
        slot.signal_mask = std::uint64_t{1} << (SIGUSR2 - 1);
        const std::uint64_t unmapping = page_address() + page_code::entry(page_code::Task::kUnmap);
        void* const page = ::mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        std::uint64_t argument = reinterpret_cast<std::uint64_t>(page);
        long result = SYS_munmap;
        ::alarm(20);
        std::uint64_t length = kPage;
        register std::uint64_t code asm("r12") = unmapping;
        register x86::PageSlot* kept asm("r13") = &slot;
        __asm__ volatile(
            "mov %%rbx, 0(%[slot])\n\t"
            "lea 1f(%%rip), %%rcx\n\t"
            "mov %%rcx, 16(%[slot])\n\t"
            "mov %[slot], %%rbx\n\t"
            "jmp *%[code]\n\t"
            "1:"
            : "+a"(result), "+D"(argument), "+S"(length)
            : [slot] "r"(kept), [code] "r"(code)
            : "rcx", "r11", "rdx", "r10", "r8", "r9", "memory");
        if (result != 0 || argument != 1) return 2;
        unsigned char residency = 0;
        if (::mincore(page, kPage, &residency) != -1) return 3;
        sigset_t blocked;
        sigprocmask(SIG_BLOCK, nullptr, &blocked);
        return sigismember(&blocked, SIGUSR2) == 1 ? 0 : 4;
      }),
      0);
}

/// What the filter wants traced is no call where nobody traces.
TEST_F(CallPageObstaclesTest, UntracedTheEndIsNoCall) {
  EXPECT_EQ(serve([] {
              const auto argument = static_cast<long>(kTracedArgument);
              if (raw_call(SYS_shmat, argument) != -ENOSYS) return 1;
              return raw_call(SYS_shmdt, argument) == -ENOSYS ? 0 : 2;
            }),
            0);
}

}  // namespace
}  // namespace shmvisor
