// KickTimer and KickTarget, where our user's queue of signals has no place left too.
#include "supervisor/inject/kick_timer.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

using std::chrono::milliseconds;

constexpr int kLongMs = 20'000;

std::atomic<int> g_passed_on{0};

/// Whether a wait of the calling thread is ended before its time.
bool is_kicked() { return ::poll(nullptr, 0, kLongMs) < 0 && errno == EINTR; }

/// Each in a child, whose signals find no place in the queue if `full`.
class KickTimerTest : public ::testing::TestWithParam<bool> {
 protected:
  static int in_child(const std::function<int()>& body) {
    Child child([&] {
      const rlimit none{0, 0};
      if (GetParam() && ::setrlimit(RLIMIT_SIGPENDING, &none) != 0) return 100;
      KickTimer::install_handler([](int /*number*/) { ++g_passed_on; });
      KickTimer::allow_on_this_thread();
      return body();
    });
    return exit_status_of(child);
  }
};

TEST_P(KickTimerTest, ItEndsAWaitAgainAndAgain) {
  EXPECT_EQ(in_child([] {
              KickTimer timer;
              if (!timer.arm(milliseconds(10))) return 1;
              for (int kicks = 0; kicks < 5; ++kicks) {
                if (!is_kicked()) return 2;
              }
              timer.disarm();
              return g_passed_on == 0 ? 0 : 3;
            }),
            0);
}

TEST_P(KickTimerTest, OneThatIsSetToAnEarlierTimeComesFirst) {
  EXPECT_EQ(in_child([] {
              KickTimer late;
              KickTimer soon;
              if (!late.arm(milliseconds(kLongMs)) || !soon.arm(milliseconds(10))) return 1;
              if (!is_kicked()) return 2;
              soon.disarm();
              return late.arm(milliseconds(10)) && is_kicked() ? 0 : 3;
            }),
            0);
}

TEST_P(KickTimerTest, DisarmedItLetsOneWait) {
  EXPECT_EQ(in_child([] {
              KickTimer timer;
              if (!timer.arm(milliseconds(500))) return 1;
              timer.disarm();
              return ::poll(nullptr, 0, 700) == 0 ? 0 : 2;
            }),
            0);
}

TEST_P(KickTimerTest, AnotherThreadMayKick) {
  EXPECT_EQ(in_child([] {
              const KickTarget self = KickTarget::of_this_thread();
              std::atomic<bool> over{false};
              std::thread other([&] {
                while (!over) {
                  self.kick();
                  std::this_thread::sleep_for(milliseconds(5));
                }
              });
              const bool kicked = is_kicked() && is_kicked();
              over = true;
              other.join();
              return kicked && g_passed_on == 0 ? 0 : 1;
            }),
            0);
}

// Somebody else's signals, among which the kicks get lost, are passed on. The kicks go on after
// them.
TEST_P(KickTimerTest, AnothersSignalsTakeNoKickAway) {
  EXPECT_EQ(in_child([] {
              KickTimer timer;
              if (!timer.arm(milliseconds(1))) return 1;
              const pid_t process = ::getpid();
              const pid_t thread = ::gettid();
              const pid_t flood = ::fork();
              if (flood == 0) {
                for (int sent = 0; sent < 20'000; ++sent) {
                  ::syscall(SYS_tgkill, process, thread, KickTimer::signal_number());
                }
                ::_exit(0);
              }
              while (::waitpid(flood, nullptr, 0) < 0) {
                if (errno != EINTR) return 2;
              }
              for (int kicks = 0; kicks < 5; ++kicks) {
                if (!is_kicked()) return 3;
              }
              timer.disarm();
              return g_passed_on != 0 || GetParam() ? 0 : 4;
            }),
            0);
}

TEST_P(KickTimerTest, AForkedProcessHasItsOwn) {
  EXPECT_EQ(in_child([] {
              KickTimer timer;
              if (!timer.arm(milliseconds(10)) || !is_kicked()) return 1;
              timer.disarm();
              Child child([&timer] {
                KickTimer another;
                if (!another.arm(milliseconds(10)) || !is_kicked()) return 1;
                another.disarm();
                return timer.arm(milliseconds(10)) && is_kicked() ? 0 : 2;
              });
              return exit_status_of(child);
            }),
            0);
}

INSTANTIATE_TEST_SUITE_P(OfSignals, KickTimerTest, ::testing::Bool(),
                         [](const auto& queue) { return queue.param ? "Full" : "Free"; });

TEST(PassedOnKickTest, AnothersSignalIsPassedOn) {
  Gate ready;
  Child child([&] {
    KickTimer::install_handler([](int /*number*/) { ++g_passed_on; });
    KickTimer::allow_on_this_thread();
    ready.open();
    // The signal may come before a wait begins: what counts is that it is passed on, not that it
    // ends a wait.
    const auto latest = std::chrono::steady_clock::now() + milliseconds(kLongMs);
    while (g_passed_on == 0 && std::chrono::steady_clock::now() < latest) ::poll(nullptr, 0, 10);
    return g_passed_on == 1 ? 0 : 1;
  });
  ASSERT_TRUE(ready.pass());
  ::kill(child.pid(), KickTimer::signal_number());
  EXPECT_EQ(exit_status_of(child), 0);
}

}  // namespace
}  // namespace shmvisor
