// CallPage: which callers get it, and what it does.
#include "supervisor/inject/call_page.h"

#include <sys/resource.h>

#include <array>
#include <string_view>

#include "tests/call_page_fixture.h"

namespace shmvisor {
namespace {

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

using StatusText = std::array<char, 4096>;
/// One line of /proc/self/status, of a process whose heap is not to grow.
std::string_view locked_memory(StatusText& text) {
  const UniqueFd status(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  const ssize_t size = ::read(status.get(), text.data(), text.size());
  const std::string_view all(text.data(), size < 0 ? 0 : static_cast<std::size_t>(size));
  const std::size_t at = all.find("VmLck:");
  return at == std::string_view::npos ? "" : all.substr(at, all.find('\n', at) - at);
}

TEST_F(CallPageTest, ItIsNotLockedWithWhatTheProgramLocks) {
  const int status = serve([] {
    static StatusText before;
    static StatusText after;
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

TEST(CallPage, SwitchedOff) {
  KernelFeatures features;
  features.mark_absent(KernelFeature::kCallPage);
  EXPECT_EQ(CallPage::create(features), nullptr);
}

}  // namespace
}  // namespace shmvisor
