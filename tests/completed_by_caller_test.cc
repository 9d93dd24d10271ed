// CompletedByCaller, and detaches that callers complete by themselves.
#include "supervisor/inject/completed_by_caller.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "tests/call_page_fixture.h"

namespace shmvisor {
namespace {

/// Children that complete their calls by themselves.
class CompletedByCallerTest : public CallPageTest {
 protected:
  CompletedByCallerTest() { caller_may_complete_ = true; }

  static bool attach_until_it_has_the_page() {
    for (int round = 0; round < kEnough; ++round) {
      const long address = attach();
      if (!attached(address) || detach(address) != 0) return false;
    }
    return true;
  }
  /// How many calls the child completed.
  void expect_completed(int expected) {
    if (!features_.usable(KernelFeature::kUserDispatchConfig) && expected != 0) {
      GTEST_SKIP() << "no PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG (Linux 6.4)";
    }
    EXPECT_EQ(completed_, expected);
  }
  /// An attach and a detach.
  static bool once_more() {
    const long address = attach();
    return attached(address) && detach(address) == 0;
  }
};

TEST_F(CompletedByCallerTest, TheResultIsThereAndNothingElse) {
  EXPECT_EQ(serve([&] {
              seen_->descriptors = count_descriptors();
              if (!attach_until_it_has_the_page()) return 1;
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
  expect_completed(2 * 3 + 1);  // from the detach on that follows the ninth attach
  EXPECT_EQ(failed_, 0);
}

/// A descriptor that is there as long as the child needs it to map it, and not before it asks.
TEST_F(CompletedByCallerTest, ItFetchesTheDescriptor) {
  EXPECT_EQ(serve([&] { return attach_until_it_has_the_page() && once_more() ? 0 : 1; }), 0);
  expect_completed(1 + 2);
  EXPECT_EQ(fetched_, 1);
}

/// Another thread of the child closes what it fetched: here nothing was lent at all.
TEST_F(CompletedByCallerTest, WhoFetchesNothingCallsAgain) {
  before_fetch_ = [this] {
    if (fetched_ != 0) return;
    EXPECT_EQ(loans_.look(features_).count(), 0) << "no thread has that number";
  };
  EXPECT_EQ(serve([&] {
              if (!attach_until_it_has_the_page()) return 1;
              seen_->descriptors = count_descriptors();
              if (!once_more() || !once_more()) return 2;
              return count_descriptors() == seen_->descriptors ? 0 : 3;
            }),
            0);
  EXPECT_EQ(failed_, 1);
}

TEST_F(CompletedByCallerTest, WhatFailsIsCalledForAgain) {
  EXPECT_EQ(serve([&] {
              if (!attach_until_it_has_the_page()) return 1;
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
  expect_completed(2 * 1 + 1 + 1);
}

TEST_F(CompletedByCallerTest, WithoutAFreeSlotItIsStoppedInstead) {
  EXPECT_EQ(serve([&] {
              if (!attach_until_it_has_the_page()) return 1;
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
  expect_completed(1 + 2);
}

TEST_F(CompletedByCallerTest, CallsThatMayComeFromOnePlaceOnly) {
  const int status = serve([&] {
    ::signal(SIGSYS, [](int) { ::_exit(9); });
    if (!attach_until_it_has_the_page()) return 1;
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
  expect_completed(1);
}

TEST_F(CompletedByCallerTest, AFilterThatGivesNoSignalMaskBack) {
  EXPECT_EQ(serve([&] {
              if (!attach_until_it_has_the_page()) return 1;
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

TEST_F(CompletedByCallerTest, NotWhereTheKernelCannotTellOfUserDispatch) {
  features_.mark_absent(KernelFeature::kUserDispatchConfig);
  EXPECT_EQ(serve([&] { return attach_until_it_has_the_page() && once_more() ? 0 : 1; }), 0);
  EXPECT_TRUE(has_page_);
  expect_completed(0);
}

}  // namespace
}  // namespace shmvisor
