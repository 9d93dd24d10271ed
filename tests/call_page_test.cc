// CallPage, through RemoteSpace: who gets it, what it does, and what when it cannot.
#include "supervisor/inject/call_page.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <functional>
#include <optional>
#include <string_view>

#include "supervisor/attaches/memory_map.h"
#include "supervisor/inject/arch/page_code.h"
#include "supervisor/inject/arch/x86/page_slot.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/inject/remote_space.h"
#include "tests/expected_receiver.h"
#include "tests/supervised_child.h"

// <sys/prctl.h> of Debian 12 has them, older ones do not.
#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

namespace shmvisor {
namespace {

constexpr std::uint64_t kPage = 4096;
/// So many attaches, and who makes them has the page.
constexpr int kEnough = CallPage::kMissesBefore + 1;

struct Seen {
  int descriptors = 0;
  int faults_handled = 0;
  char selector = 0;
};

int count_descriptors() {
  int count = 0;
  for (int fd = 0; fd < 256; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

char* pointer(std::uint64_t address) { return reinterpret_cast<char*>(address); }

/// shmat and shmdt as raw calls, whose answers are addresses and errnos of the test's choice.
long attach() { return raw_call(SYS_shmat, 1, 2, 3); }
long detach(long address) { return raw_call(SYS_shmdt, address); }
bool attached(long address) { return address > 0 && pointer(address)[0] == 'm'; }

/// A filter of the program's own: what it says of one call.
bool answer_calls(std::uint32_t number, std::uint32_t action) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, action),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {4, code};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

class CallPageTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    KickTimer::install_handler(nullptr);
    KickTimer::allow_on_this_thread();
    spdlog::set_level(spdlog::level::off);
  }

  void SetUp() override {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "ThreadSanitizer's shadow lies where the page goes";
#endif
    page_ = CallPage::create(features_);
    if (page_ == nullptr) GTEST_SKIP() << "this machine has no executable memfds";
    memory_.reset(::memfd_create("memory", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(memory_.get(), kPage), 0);
    ASSERT_EQ(::pwrite(memory_.get(), "m", 1, 0), 1);
  }

  std::uint64_t page_address() { return page_->mapping(0)[0]; }
  [[nodiscard]] bool has_page(pid_t pid) {
    auto map = MemoryMap::open(pid, features_);
    const auto area = map->area_above(page_address(), Areas::kAll);
    return area && *area && (*area)->range == AddressRange{page_address(), kPage};
  }

  static std::int64_t as_result(const Result<std::optional<std::uint64_t>>& address) {
    return address ? static_cast<std::int64_t>(address->value_or(0)) : -address.error().value();
  }

  /// Answers the child's calls until it ends: shmat by mapping a page as `request` says, shmdt by
  /// unmapping the page at its argument, and anything else of ours by 0.
  int serve(const std::function<int()>& body, const MapRequest& request) {
    SupervisedChild child(body);
    EXPECT_EQ(child.trouble(), "");
    if (!child.trouble().empty()) return -1;
    while (wait_readable(child.listener().fd())) {
      const auto notif = child.listener().receive();
      if (!notif) break;
      PendingCall call(child.listener(), *notif);
      const auto message = page_->message(notif->data);
      if (message == CallPage::Message::kFetch) {
        if (before_fetch_) before_fetch_();
        loans_.answer(call, kUnique);
        ++fetched_;
        continue;
      }
      const bool ordinary = message == CallPage::Message::kNone;
      RemoteSpace space(call, expected_, features_, access_warnings_,
                        ordinary ? CallPageUse{page_.get(), &misses_, may_leave_, &loans_, kUnique}
                                 : CallPageUse());
      failed_ += message == CallPage::Message::kFailed ? 1 : 0;
      if (message == CallPage::Message::kMaskRefused) {
        space.restore_signal_mask();
        call.answer(-EINVAL);
        ++masks_refused_;
        continue;
      }
      const std::uint64_t address = notif->data.args[0];
      if (notif->data.nr == SYS_shmat) {
        UniqueFd fd(
            ::open(("/proc/self/fd/" + std::to_string(memory_.get())).c_str(), O_RDWR | O_CLOEXEC));
        MapRequest asked = request;
        asked.may_be_left = true;
        // Who cannot be left after all makes its call once more.
        std::optional<ExpectedReceiver> receiver;
        if (may_leave_ && misses_ == CallPageUse::kUsed) {
          receiver.emplace(child.listener(), expected_);
        }
        const auto mapped = space.map(asked, BackingFile{std::move(fd)});
        receiver.reset();
        left_ += mapped && !*mapped ? 1 : 0;
        call.answer(as_result(mapped));
      } else if (notif->data.nr == SYS_shmdt) {
        const auto unmapped = space.unmap({address, kPage}, true);
        left_ += unmapped && *unmapped == MappingSpace::Outcome::kLeft ? 1 : 0;
        call.answer(unmapped ? 0 : -unmapped.error().value());
      } else {
        call.answer(0);
      }
      has_page_ = has_page_ || has_page(child.pid());
      misses_seen_.push_back(misses_.load());
    }
    return exit_status_of(child.child());
  }
  int serve(const std::function<int()>& body) {
    return serve(body, {0, kPage, Placement::kAnywhere, {true, true, false}});
  }

  KernelFeatures features_;
  std::unique_ptr<CallPage> page_;
  UniqueFd memory_;
  static constexpr std::uint64_t kUnique = 1;
  ExpectedCalls expected_{[] {}};
  Loans loans_;
  AccessWarnings access_warnings_;
  std::atomic<int> misses_{0};
  std::vector<int> misses_seen_;
  bool has_page_ = false;
  bool may_leave_ = false;
  int left_ = 0;  ///< calls that were left to the child
  int failed_ = 0;
  int fetched_ = 0;
  std::function<void()> before_fetch_;
  int masks_refused_ = 0;
  SharedPage<Seen> seen_;
};

TEST_F(CallPageTest, WhoAttachesSeldomDoesNotGetIt) {
  EXPECT_EQ(serve([] {
              for (int round = 0; round < kEnough - 1; ++round) {
                const long address = attach();
                if (!attached(address) || detach(address) != 0) return 1;
              }
              return 0;
            }),
            0);
  EXPECT_FALSE(has_page_);
}

TEST_F(CallPageTest, WhoAttachesOftenRunsItFromThenOn) {
  EXPECT_EQ(serve([&] {
              seen_->descriptors = count_descriptors();
              for (int round = 0; round < kEnough + 2; ++round) {
                const long address = attach();
                if (!attached(address)) return 1;
                if (count_descriptors() != seen_->descriptors) return 2;
                if (detach(address) != 0) return 3;
                unsigned char residency = 0;
                if (::mincore(pointer(address), kPage, &residency) != -1) return 4;
              }
              return 0;
            }),
            0);
  EXPECT_TRUE(has_page_);
  std::vector<int> misses;
  for (int round = 1; round <= kEnough + 2; ++round) {
    misses.insert(misses.end(), 2, round < kEnough ? round : CallPageUse::kUsed);
  }
  EXPECT_EQ(misses_seen_, misses);
}

TEST_F(CallPageTest, MmapsErrorsComeThroughAndLeaveNoDescriptor) {
  const MapRequest beyond{0x7fff'ffff'e000, 2 * kPage, Placement::kExact, {true, true, false}};
  EXPECT_EQ(serve(
                [&] {
                  seen_->descriptors = count_descriptors();
                  for (int round = 0; round < kEnough + 1; ++round) {
                    if (attach() != -ENOMEM) return 1;
                    if (count_descriptors() != seen_->descriptors) return 2;
                  }
                  return 0;
                },
                beyond),
            0);
  EXPECT_FALSE(has_page_) << "for attaches that succeed only";
}

TEST_F(CallPageTest, ErrorsOfTheCodeAreResults) {
  EXPECT_EQ(serve([&] {
              for (int round = 0; round < kEnough; ++round) {
                if (!attached(attach())) return 1;
              }
              seen_->descriptors = count_descriptors();
              const rlimit little{1, 1};
              ::setrlimit(RLIMIT_AS, &little);
              if (attach() != -ENOMEM) return 2;
              return count_descriptors() == seen_->descriptors ? 0 : 3;
            }),
            0);
  EXPECT_EQ(misses_.load(), CallPageUse::kUsed) << "the page was run";
}

TEST_F(CallPageTest, AForkedChildHasItAndOneThatUnmapsItGoesOnWithout) {
  EXPECT_EQ(serve([&] {
              for (int round = 0; round < kEnough; ++round) {
                if (!attached(attach())) return 1;
              }
              const pid_t child = ::fork();
              if (child == 0) ::_exit(attached(attach()) ? 0 : 1);
              int status = 0;
              if (::waitpid(child, &status, 0) != child || status != 0) return 2;
              ::munmap(pointer(page_address()), kPage);
              for (int round = 0; round < kEnough + 1; ++round) {
                const long address = attach();
                if (!attached(address) || detach(address) != 0) return 3;
              }
              return 0;
            }),
            0);
  EXPECT_EQ(misses_seen_.at(kEnough), CallPageUse::kUsed) << "the child has it";
  EXPECT_EQ(misses_.load(), CallPageUse::kUsed) << "it was given the page a second time";
}

/// One line of /proc/self/status, of a process whose heap is not to grow.
std::string_view locked_memory(std::array<char, kPage>& text) {
  const UniqueFd status(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  const ssize_t size = ::read(status.get(), text.data(), text.size());
  const std::string_view all(text.data(), size < 0 ? 0 : static_cast<std::size_t>(size));
  const std::size_t at = all.find("VmLck:");
  return at == std::string_view::npos ? "" : all.substr(at, all.find('\n', at) - at);
}

TEST_F(CallPageTest, ItIsNotLockedWithWhatTheProgramLocks) {
  const int status = serve([] {
    static std::array<char, kPage> before;
    static std::array<char, kPage> after;
    if (::mlockall(MCL_FUTURE) != 0) return 77;
    const auto locked_before = locked_memory(before);
    for (int round = 0; round < kEnough + 1; ++round) {
      const long address = attach();
      if (!attached(address) || detach(address) != 0) return 1;
    }
    if (locked_before.empty()) return 2;
    return locked_memory(after) == locked_before ? 0 : 3;
  });
  if (status == 77) GTEST_SKIP() << "no memory may be locked here";
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(has_page_);
}

TEST_F(CallPageTest, ATakenPlaceIsLeftAlone) {
  EXPECT_EQ(serve([&] {
              void* const place = ::mmap(pointer(page_address()), kPage, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
              if (place != pointer(page_address())) return 1;
              pointer(page_address())[0] = 'p';
              for (int round = 0; round < kEnough + 2; ++round) {
                const long address = attach();
                if (!attached(address) || detach(address) != 0) return 2;
              }
              return pointer(page_address())[0] == 'p' ? 0 : 3;
            }),
            0);
}

TEST_F(CallPageTest, WhoCouldNotHaveItGetsItLater) {
  EXPECT_EQ(serve([&] {
              void* const place = ::mmap(pointer(page_address()), kPage, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
              if (place != pointer(page_address())) return 1;
              for (int round = 0; round < 2 * kEnough; ++round) {
                if (round == kEnough) ::munmap(place, kPage);
                const long address = attach();
                if (!attached(address) || detach(address) != 0) return 2;
              }
              return 0;
            }),
            0);
  EXPECT_TRUE(has_page_);
}

TEST_F(CallPageTest, ItDoesNotReplaceItself) {
  const MapRequest over{page_address(), kPage, Placement::kReplacing, {true, true, false}};
  EXPECT_EQ(serve(
                [&] {
                  // By hand: attaches of this test do not leave it alone.
                  const UniqueFd fd(::syscall(SYS_dup, page_->file().fd()));
                  const auto arguments = page_->mapping(fd.get());
                  if (::mmap(pointer(arguments[0]), kPage, PROT_READ | PROT_EXEC,
                             MAP_SHARED | MAP_FIXED_NOREPLACE, fd.get(), 0) == MAP_FAILED) {
                    return 1;
                  }
                  const long address = attach();
                  return address == static_cast<long>(page_address()) && attached(address) ? 0 : 2;
                },
                over),
            0);
}

/// A page that cannot be executed any more: the fault is not the program's.
TEST_F(CallPageTest, WithoutTheRightToExecuteCallsAreRunOneAtATime) {
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
TEST_F(CallPageTest, CallsThatMayComeFromOnePlaceOnly) {
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
TEST_F(CallPageTest, WhereTheEndIsForbiddenTheResultIsThereAllTheSame) {
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

/// One that allows everything might as well kill who maps code.
TEST_F(CallPageTest, WhoHasAFilterOfItsOwnDoesNotGetIt) {
  EXPECT_EQ(serve([] {
              sock_filter allows[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
              const sock_fprog program = {1, allows};
              if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) return 1;
              for (int round = 0; round < kEnough + 1; ++round) {
                if (!attached(attach())) return 2;
              }
              return 0;
            }),
            0);
  EXPECT_FALSE(has_page_);
}

/// One that wants mmap traced, which without a tracer fails: the code is stopped in a call.
TEST_F(CallPageTest, StoppedInACallItLeavesNoDescriptor) {
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
TEST_F(CallPageTest, ALieIsNoAddress) {
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
TEST_F(CallPageTest, WithoutATracerItReturns) {
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
TEST_F(CallPageTest, UntracedTheEndIsNoCall) {
  EXPECT_EQ(serve([] {
              const auto argument = static_cast<long>(kTracedArgument);
              if (raw_call(SYS_shmat, argument) != -ENOSYS) return 1;
              return raw_call(SYS_shmdt, argument) == -ENOSYS ? 0 : 2;
            }),
            0);
}

/// Children who are left to it.
class LeftToItTest : public CallPageTest {
 protected:
  LeftToItTest() { may_leave_ = true; }

  /// What a child does first.
  static bool settle_in() {
    for (int round = 0; round < kEnough; ++round) {
      const long address = attach();
      if (!attached(address) || detach(address) != 0) return false;
    }
    return true;
  }
  /// How many calls were left to the child.
  void expect_left(int expected) {
    if (!features_.usable(KernelFeature::kUserDispatchConfig) && expected != 0) {
      GTEST_SKIP() << "no PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG (Linux 6.4)";
    }
    EXPECT_EQ(left_, expected);
  }
  /// An attach and a detach.
  static bool once_more() {
    const long address = attach();
    return attached(address) && detach(address) == 0;
  }
};

TEST_F(LeftToItTest, TheResultIsThereAndNothingElse) {
  EXPECT_EQ(serve([&] {
              seen_->descriptors = count_descriptors();
              if (!settle_in()) return 1;
              for (int round = 0; round < 3; ++round) {
                const long address = attach();
                if (!attached(address)) return 2;
                if (count_descriptors() != seen_->descriptors) return 3;
                if (detach(address) != 0) return 4;
                unsigned char residency = 0;
                if (::mincore(pointer(address), kPage, &residency) != -1) return 5;
              }
              sigset_t blocked;
              sigprocmask(SIG_BLOCK, nullptr, &blocked);
              return sigisemptyset(&blocked) == 1 ? 0 : 6;
            }),
            0);
  expect_left(2 * 3 + 1);  // from the detach on that follows the ninth attach
  EXPECT_EQ(failed_, 0);
}

/// One that is there as long as the child needs it to map it, and not before it asks.
TEST_F(LeftToItTest, ItFetchesTheDescriptor) {
  EXPECT_EQ(serve([&] { return settle_in() && once_more() ? 0 : 1; }), 0);
  expect_left(1 + 2);
  EXPECT_EQ(fetched_, 1);
}

/// Another thread of the child closes what it fetched: here nothing was lent at all.
TEST_F(LeftToItTest, WhoFetchesNothingCallsAgain) {
  before_fetch_ = [this] {
    if (fetched_ != 0) return;
    EXPECT_EQ(loans_.look(features_).count(), 0) << "no thread has that number";
  };
  EXPECT_EQ(serve([&] {
              if (!settle_in()) return 1;
              seen_->descriptors = count_descriptors();
              if (!once_more() || !once_more()) return 2;
              return count_descriptors() == seen_->descriptors ? 0 : 3;
            }),
            0);
  EXPECT_EQ(failed_, 1);
}

TEST_F(LeftToItTest, WhatFailsIsCalledForAgain) {
  EXPECT_EQ(serve([&] {
              if (!settle_in()) return 1;
              seen_->descriptors = count_descriptors();
              rlimit kept{};
              ::getrlimit(RLIMIT_AS, &kept);
              const rlimit little{1, kept.rlim_max};
              ::setrlimit(RLIMIT_AS, &little);
              if (attach() != -ENOMEM) return 2;
              ::setrlimit(RLIMIT_AS, &kept);
              if (count_descriptors() != seen_->descriptors) return 3;
              return once_more() ? 0 : 4;
            }),
            0);
  EXPECT_EQ(failed_, 1);
  expect_left(2 * 1 + 1 + 1);
}

TEST_F(LeftToItTest, WithoutAFreeSlotItIsStoppedInstead) {
  EXPECT_EQ(serve([&] {
              if (!settle_in()) return 1;
              auto* const slots = reinterpret_cast<std::uint64_t*>(page_address() + kPage);
              constexpr std::size_t kWords = kPage / sizeof(*slots);
              std::array<std::uint64_t, kWords> kept{};
              std::copy_n(slots, kWords, kept.begin());
              std::fill_n(slots, kWords, 7);
              if (!once_more()) return 2;
              std::copy_n(kept.begin(), kWords, slots);
              if (!once_more()) return 3;
              ::munmap(slots, kPage);
              return once_more() ? 0 : 4;
            }),
            0);
  expect_left(1 + 2);
}

TEST_F(LeftToItTest, CallsThatMayComeFromOnePlaceOnly) {
  const int status = serve([&] {
    ::signal(SIGSYS, [](int) { ::_exit(9); });
    if (!settle_in()) return 1;
    const std::uint64_t above = page_address() + 2 * kPage;
    seen_->selector = 1;  // SYSCALL_DISPATCH_FILTER_BLOCK
    if (::prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, above, 0x7fff'ffff'f000 - above,
                &seen_->selector) != 0) {
      return 77;
    }
    return once_more() ? 0 : 2;
  });
  if (status == 77) GTEST_SKIP() << "no PR_SET_SYSCALL_USER_DISPATCH (Linux 5.11)";
  EXPECT_EQ(status, 0);
  expect_left(1);
}

TEST_F(LeftToItTest, AFilterThatGivesNoSignalMaskBack) {
  EXPECT_EQ(serve([&] {
              if (!settle_in()) return 1;
              static volatile sig_atomic_t handled = 0;
              ::signal(SIGUSR1, [](int) { handled = handled + 1; });
              if (!answer_calls(SYS_rt_sigprocmask, SECCOMP_RET_ERRNO | EPERM)) return 2;
              for (int round = 1; round <= 3; ++round) {
                if (!once_more()) return 3;
                ::syscall(SYS_tgkill, ::getpid(), ::gettid(), SIGUSR1);
                if (handled != round) return 4;
              }
              return 0;
            }),
            0);
  EXPECT_EQ(masks_refused_, 2 * 3);
}

TEST_F(LeftToItTest, NotWhereTheKernelCannotTellOfUserDispatch) {
  features_.mark_absent(KernelFeature::kUserDispatchConfig);
  EXPECT_EQ(serve([&] { return settle_in() && once_more() ? 0 : 1; }), 0);
  EXPECT_TRUE(has_page_);
  expect_left(0);
}

TEST(CallPage, SwitchedOff) {
  KernelFeatures features;
  features.mark_absent(KernelFeature::kCallPage);
  EXPECT_EQ(CallPage::create(features), nullptr);
}

}  // namespace
}  // namespace shmvisor
