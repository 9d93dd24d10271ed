// seize_within(), behind an exec that does not end.
#include "supervisor/inject/bounded_seize.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include "supervisor/check/child.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/procfs/task_status.h"
#include "tests/foreign_tracer.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

using Clock = std::chrono::steady_clock;

/// A process in an execve(2) that waits for a dead thread of it, whose tracer does not look.
class HeldExec {
 public:
  HeldExec()
      : process_([this] {
          std::thread([this] {
            other_->store(gettid());
            traced_.pass();
            ::syscall(SYS_exit, 0);
          }).detach();
          go_.pass();
          traced_.open();
          ::execl("/bin/true", "true", nullptr);
          return 1;
        }) {
    while (other_->load() == 0) std::this_thread::yield();
    tracer_.emplace(other_->load());
    traces_ = tracer_->traces();
    go_.open();
  }
  ~HeldExec() {
    if (tracer_) tracer_->end();
    exit_status_of(process_);
  }
  [[nodiscard]] pid_t pid() const { return process_.pid(); }
  /// Whether it is there, in good time: 'D' is how one shows that waits for its other threads.
  [[nodiscard]] bool is_held() const {
    int seen = 0;
    for (int looks = 0; looks < 2000 && seen < 10; ++looks) {
      const auto status = TaskStatus::read(process_.pid());
      seen = status && status->state == 'D' ? seen + 1 : 0;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return traces_ && seen == 10;
  }

 private:
  SharedPage<std::atomic<pid_t>> other_;
  Gate go_;
  Gate traced_;
  Child process_;
  std::optional<ForeignTracer> tracer_;
  bool traces_ = false;
};

TEST(BoundedSeizeTest, AKickThatWasMeantForAnotherWaitDoesNotEndIt) {
  KickTimer::install_handler(nullptr);
  KickTimer::allow_on_this_thread();
  HeldExec exec;
  ASSERT_TRUE(exec.is_held());
  const pid_t self = gettid();
  std::atomic<bool> over{false};
  std::thread kicker([&] {
    while (!over.load()) {
      ::syscall(SYS_tgkill, getpid(), self, KickTimer::signal_number());
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  constexpr std::chrono::milliseconds kBound(300);
  const auto begin = Clock::now();
  const auto seized = seize_within(exec.pid(), 0, kBound);
  const auto took = Clock::now() - begin;
  over.store(true);
  kicker.join();
  EXPECT_EQ(seized.error(), Errno(EAGAIN)) << "the exec is in the way";
  EXPECT_GE(took, kBound);
}

// Other processes of the same user that fill its queue of signals shall not take the bound away.
TEST(BoundedSeizeTest, ItNeedsNoPlaceInTheQueueOfSignals) {
  HeldExec exec;
  ASSERT_TRUE(exec.is_held());
  Child tracer([&exec] {
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_SIGPENDING, &none) != 0) return 1;
    KickTimer::install_handler(nullptr);
    KickTimer::allow_on_this_thread();
    const auto seized = seize_within(exec.pid(), 0, std::chrono::milliseconds(50));
    return seized.error() == Errno(EAGAIN) ? 0 : 2;
  });
  EXPECT_EQ(exit_status_of(tracer), 0);
}

}  // namespace
}  // namespace shmvisor
