// A file is taken out of processes that did not ask for it, wherever their threads are; which go on
// as if nothing had been.
#include "supervisor/inject/forced_unmapping.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <cstddef>
#include <ctime>
#include <functional>

#include "emulation/abi/abi.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/procfs/task_status.h"
#include "tests/foreign_tracer.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kPage = kPageBytes;
constexpr std::uint64_t kPages = 8;

/// What an access raises: 0 for nothing.
int signal_of_access(volatile char* at) {
  static sigjmp_buf back;
  for (const int signal : {SIGSEGV, SIGBUS}) {
    std::signal(signal, [](int number) { siglongjmp(back, number); });
  }
  const int raised = sigsetjmp(back, 1);
  if (raised == 0) *at = 'x';
  return raised;
}

class ForcedUnmappingTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    KickTimer::install_handler(nullptr);
    KickTimer::allow_on_this_thread();
  }
  void SetUp() override {
    ASSERT_EQ(::ftruncate(file_.get(), kPages * kPage), 0);
    struct stat status {};
    ASSERT_EQ(::fstat(file_.get(), &status), 0);
    identity_ = {status.st_dev, status.st_ino};
    void* const shared =
        ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(shared, MAP_FAILED);
    go_on_ = new (shared) std::atomic<int>(0);
  }
  void TearDown() override {
    if (child_ > 0) (void)::kill(child_, SIGKILL);
    if (child_ > 0) (void)::waitpid(child_, nullptr, 0);
  }

  char* map() const {
    void* const at =
        ::mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
    return at == MAP_FAILED ? nullptr : static_cast<char*>(at);
  }
  /// A child that does that, and ends with what it returns. It has begun when go_on_ is 1.
  void start(const std::function<int()>& work) {
    child_ = ::fork();
    if (child_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::_exit(work());
    }
    while (*go_on_ == 0) ::usleep(1000);
    ::usleep(20'000);  // to where it waits
  }
  ForcedUnmapping unmap(AccessGives gives = AccessGives::kSigsegv) {
    auto held = HeldProcess::hold(child_);
    EXPECT_TRUE(held) << static_cast<int>(held ? HeldProcess::Trouble::kGone : held.error());
    if (!held) return {};
    const auto unmapped = unmap_by_force(*held, identity_, gives, features_);
    EXPECT_TRUE(unmapped);
    return unmapped ? *unmapped : ForcedUnmapping();
  }
  int end_of_child() {
    int status = 0;
    EXPECT_EQ(::waitpid(child_, &status, 0), child_);
    child_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
  }

  const UniqueFd file_{::memfd_create("shared", MFD_CLOEXEC)};
  FileIdentity identity_;
  std::atomic<int>* go_on_ = nullptr;
  pid_t child_ = 0;
  KernelFeatures features_;
};

// Each range of each attach, whatever became of it; what lies between them stays.
TEST_F(ForcedUnmappingTest, EachRangeGoesAndStaysReserved) {
  start([this] {
    char* const first = map();
    char* const second = map();
    ::munmap(first + kPage, kPage);
    ::mprotect(first + 3 * kPage, kPage, PROT_READ);
    char* const own = static_cast<char*>(::mmap(first + kPage, kPage, PROT_READ | PROT_WRITE,
                                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    *own = 'o';
    *go_on_ = 1;
    while (*go_on_ != 2) {  // it runs its own code
    }
    for (std::uint64_t page = 0; page < kPages; ++page) {
      if (page != 1 && signal_of_access(first + page * kPage) != SIGSEGV) return 1;
      if (signal_of_access(second + page * kPage) != SIGSEGV) return 2;
    }
    return *own == 'o' ? 0 : 3;
  });
  const ForcedUnmapping unmapped = unmap();
  EXPECT_EQ(unmapped.ranges, 5U);
  EXPECT_EQ(unmapped.bytes, (2 * kPages - 1) * kPage);
  EXPECT_EQ(unmapped.error, Errno(0));
  *go_on_ = 2;
  EXPECT_EQ(end_of_child(), 0);
}

TEST_F(ForcedUnmappingTest, AccessGivesSigbusWhereThatIsWanted) {
  start([this] {
    char* const at = map();
    *go_on_ = 1;
    while (*go_on_ != 2) ::usleep(1000);
    for (std::uint64_t page = 0; page < kPages; ++page) {
      if (signal_of_access(at + page * kPage) != SIGBUS) return 1;
    }
    return 0;
  });
  EXPECT_EQ(unmap(AccessGives::kSigbus).ranges, 1U);
  *go_on_ = 2;
  EXPECT_EQ(end_of_child(), 0);
}

TEST_F(ForcedUnmappingTest, AProcessWithoutTheFileStaysAsItIs) {
  start([this] {
    *go_on_ = 1;
    while (*go_on_ != 2) ::usleep(1000);
    return 0;
  });
  EXPECT_EQ(unmap().ranges, 0U);
  *go_on_ = 2;
  EXPECT_EQ(end_of_child(), 0);
}

TEST_F(ForcedUnmappingTest, CallsThatTheStopInterruptsGoOn) {
  int ends[2] = {};
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  start([this, ends] {
    (void)map();
    *go_on_ = 1;
    timespec began{};
    ::clock_gettime(CLOCK_MONOTONIC, &began);
    const timespec half{0, 500'000'000};
    if (::nanosleep(&half, nullptr) != 0) return 1;  // ERESTART_RESTARTBLOCK
    timespec ended{};
    ::clock_gettime(CLOCK_MONOTONIC, &ended);
    const double took = static_cast<double>(ended.tv_sec - began.tv_sec) +
                        static_cast<double>(ended.tv_nsec - began.tv_nsec) / 1e9;
    if (took < 0.5) return 2;
    *go_on_ = 2;
    char byte = 0;
    return ::read(ends[0], &byte, 1) == 1 && byte == 'r' ? 0 : 3;  // ERESTARTSYS
  });
  EXPECT_EQ(unmap().ranges, 1U);
  while (*go_on_ != 2) ::usleep(1000);
  ::usleep(20'000);
  EXPECT_EQ(unmap().ranges, 0U);
  {
    auto held = HeldProcess::hold(child_);
    ASSERT_TRUE(held);
    ASSERT_NE(held->worker(), nullptr);
    EXPECT_EQ(*held->worker()->call(Abi::kX86_64, RemoteCall::kClose, {9999}), -EBADF);
  }
  EXPECT_EQ(::write(ends[1], "r", 1), 1);
  EXPECT_EQ(end_of_child(), 0);
}

// A signal that came meanwhile ends the call that it would have ended: a wait that began anew would
// never end.
TEST_F(ForcedUnmappingTest, ASignalThatComesMeanwhileEndsTheCall) {
  start([this] {
    (void)map();
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, nullptr);
    *go_on_ = 1;
    return ::pause() == -1 && errno == EINTR ? 0 : 1;
  });
  {
    auto held = HeldProcess::hold(child_);
    ASSERT_TRUE(held);
    const auto unmapped = unmap_by_force(*held, identity_, AccessGives::kSigbus, features_);
    ASSERT_TRUE(unmapped);
    ASSERT_EQ(unmapped->ranges, 1U);
    ASSERT_EQ(::kill(child_, SIGUSR1), 0);
  }
  EXPECT_EQ(end_of_child(), 0);
}

TEST_F(ForcedUnmappingTest, ThreadsAreHeldWhereverTheyAre) {
  start([this] {
    char* const at = map();
    const auto spin = [](void* go_on) -> void* {
      while (*static_cast<std::atomic<int>*>(go_on) != 2) {
      }
      return nullptr;
    };
    const auto wait = [](void* /*nothing*/) -> void* {
      for (;;) ::pause();
    };
    pthread_t threads[2] = {};
    ::pthread_create(&threads[0], nullptr, spin, go_on_);
    ::pthread_create(&threads[1], nullptr, wait, nullptr);
    *go_on_ = 1;
    ::pthread_join(threads[0], nullptr);
    return signal_of_access(at) == SIGSEGV ? 0 : 1;
  });
  EXPECT_EQ(unmap().ranges, 1U);
  *go_on_ = 2;
  EXPECT_EQ(end_of_child(), 0);
}

// Its first thread has ended, and so shows no mappings.
TEST_F(ForcedUnmappingTest, AProcessWithoutItsFirstThread) {
  start([this] {
    static char* const at = map();
    const auto work = [](void* go_on) -> void* {
      auto& shared = *static_cast<std::atomic<int>*>(go_on);
      ::usleep(50'000);
      shared = 1;
      while (shared != 2) ::usleep(1000);
      ::_exit(signal_of_access(at) == SIGSEGV ? 0 : 1);
    };
    pthread_t thread{};
    ::pthread_create(&thread, nullptr, work, go_on_);
    ::syscall(SYS_exit, 0);  // of this thread alone; pthread_exit(3) would unwind the test
    return 2;
  });
  EXPECT_EQ(unmap().ranges, 1U);
  *go_on_ = 2;
  EXPECT_EQ(end_of_child(), 0);
}

TEST_F(ForcedUnmappingTest, AStoppedProcessStaysStopped) {
  start([this] {
    char* const at = map();
    *go_on_ = 1;
    while (*go_on_ != 2) ::usleep(1000);
    return signal_of_access(at) == SIGSEGV ? 0 : 1;
  });
  ASSERT_EQ(::kill(child_, SIGSTOP), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child_, &status, WUNTRACED), child_);
  EXPECT_EQ(unmap().ranges, 1U);
  ::usleep(20'000);
  const auto after = TaskStatus::read(child_);
  ASSERT_TRUE(after);
  EXPECT_EQ(after->state, 'T');
  ASSERT_EQ(::kill(child_, SIGCONT), 0);
  *go_on_ = 2;
  EXPECT_EQ(end_of_child(), 0);
}

// The call's number is what the program would find as the result then, and it would get a signal
// for a call that it has not made.
TEST_F(ForcedUnmappingTest, AFilterThatRaisesSigsysForbidsItAndNothingMore) {
  static volatile sig_atomic_t sigsys;
  start([this] {
    char* const at = map();
    std::signal(SIGSYS, [](int) { sigsys = 1; });
    std::array code{
        sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 1),
        sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{code.size(), code.data()};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return 1;
    *go_on_ = 1;
    while (*go_on_ != 2) ::usleep(1000);
    if (sigsys != 0) return 2;
    return signal_of_access(at) == 0 ? 0 : 3;
  });
  for (const AccessGives gives : {AccessGives::kSigsegv, AccessGives::kSigbus}) {
    const ForcedUnmapping unmapped = unmap(gives);
    EXPECT_EQ(unmapped.ranges, 0U);
    EXPECT_EQ(unmapped.error, Errno(EOPNOTSUPP));
  }
  *go_on_ = 2;
  EXPECT_EQ(end_of_child(), 0);
}

TEST_F(ForcedUnmappingTest, OneThatSomebodyElseTracesIsNotHeld) {
  start([this] {
    char* const at = map();
    *go_on_ = 1;
    while (*go_on_ != 2) ::usleep(1000);
    return signal_of_access(at);
  });
  ForeignTracer tracer(child_);
  ASSERT_TRUE(tracer.traces());
  {
    const auto held = HeldProcess::hold(child_);
    ASSERT_FALSE(held);
    EXPECT_EQ(held.error(), HeldProcess::Trouble::kTraced);
  }
  EXPECT_EQ(tracer.end(), 0);
  *go_on_ = 2;
  EXPECT_EQ(end_of_child(), 0) << "it has lost nothing";
}

TEST_F(ForcedUnmappingTest, OneThatIsGoneIsGone) {
  start([this] {
    *go_on_ = 1;
    return 0;
  });
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOWAIT), 0);
  const auto held = HeldProcess::hold(child_);
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error(), HeldProcess::Trouble::kGone);
}

}  // namespace
}  // namespace shmvisor
