// Server under rules for calls: faults and delays, and signals meanwhile.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>

#include "supervisor/serve/call_rules.h"
#include "tests/server_fixture.h"

namespace shmvisor {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

class ServerRulesTest : public ServerTest {
 protected:
  ServerRulesTest() { options_.rules = &rules_; }

  /// Strikes one shmget.
  void strike_one(std::uint64_t number, milliseconds delay, int error) {
    Rule rule;
    rule.calls.add(RuledCall::kShmget);
    rule.action = RuleAction::kFault;
    rule.choice = FaultChoice::kNth;
    rule.number = number;
    rule.delay = delay;
    rule.error = error;
    rules_.replace(std::make_shared<RuleSet>(std::vector<Rule>{rule}));
  }

  void wait_until_delayed() const {
    const auto deadline = Clock::now() + milliseconds(20'000);
    while (!server_->has_delayed_calls() && Clock::now() < deadline) ::usleep(1000);
    EXPECT_TRUE(server_->has_delayed_calls());
  }

  CallRules rules_;
};

/// A SIGALRM so much later, whose handler lets calls be repeated, and takes so long.
void interrupt_after(int wait_ms, int handler_ms) {
  static int handler_us;
  handler_us = handler_ms * 1000;
  struct sigaction action {};
  action.sa_handler = [](int) {
    const timespec pause{handler_us / 1'000'000, handler_us % 1'000'000 * 1000L};
    ::nanosleep(&pause, nullptr);
  };
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGALRM, &action, nullptr);
  const itimerval once{{0, 0}, {0, wait_ms * 1000}};
  ::setitimer(ITIMER_REAL, &once, nullptr);
}

TEST_F(ServerRulesTest, ADelayedCallEndsAlsoWhereNoThreadCanBeMade) {
  options_.most_threads = 1;
  strike_one(2, milliseconds(50), 0);
  EXPECT_EQ(serve([] {
              for (int call = 0; call < 3; ++call) {
                if (::shmget(kKey, kPage, IPC_CREAT | 0600) < 0) return 1;
              }
              return 0;
            }),
            0);
}

/// How often each other thread of this process gave up its CPU to wait.
std::map<std::string, std::uint64_t> waits() {
  std::map<std::string, std::uint64_t> of_each;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    const std::string tid = task.path().filename();
    if (tid == std::to_string(::gettid())) continue;
    std::ifstream status(task.path() / "status");
    constexpr std::string_view kName = "voluntary_ctxt_switches:";
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with(kName)) of_each[tid] = std::stoull(line.substr(kName.size()));
    }
  }
  return of_each;
}

TEST_F(ServerRulesTest, NobodyWakesUpWhileACallIsDelayed) {
  strike_one(1, milliseconds(4000), 0);
  const auto count = [this](SupervisedChild& /*child*/) {
    wait_until_delayed();
    ::usleep(100'000);  // its beginning
    const auto before = waits();
    ::usleep(2'000'000);
    const auto after = waits();
    EXPECT_GE(before.size(), 2U) << "a receiver, and who looks";
    for (const auto& [tid, number] : before) {
      const auto same = after.find(tid);
      if (same == after.end()) continue;  // it has ended
      EXPECT_LE(same->second - number, 1U) << "thread " << tid;
    }
  };
  EXPECT_EQ(serve([] { return ::shmget(kKey, kPage, IPC_CREAT | 0600) >= 0 ? 0 : 1; }, count), 0);
}

TEST_F(ServerRulesTest, ADelayEndsWithItsRule) {
  strike_one(1, milliseconds(60'000), EIO);
  const auto take_away = [this](SupervisedChild& /*child*/) {
    wait_until_delayed();
    ::usleep(100'000);
    rules_.replace(nullptr);
  };
  EXPECT_EQ(serve(
                [] {
                  const auto began = Clock::now();
                  if (::shmget(kKey, kPage, IPC_CREAT | 0600) < 0) return 1;
                  const auto took = Clock::now() - began;
                  if (took < milliseconds(100)) return 2;
                  return took < milliseconds(20'000) ? 0 : 3;
                },
                take_away),
            0);
}

// While the handler runs its time comes, when nobody waits for it.
TEST_F(ServerRulesTest, ACallThatASignalRepeatsIsCountedAndDelayedOnce) {
  features_.mark_absent(KernelFeature::kWaitKillableRecv);
  constexpr milliseconds kDelay(1000);
  strike_one(1, kDelay, EIO);
  EXPECT_EQ(serve([kDelay] {
              interrupt_after(300, 1000);
              const auto began = Clock::now();
              if (::shmget(kKey, kPage, IPC_CREAT | 0600) != -1 || errno != EIO) return 1;
              if (Clock::now() - began < kDelay) return 2;
              return ::shmget(kKey, kPage, IPC_CREAT | 0600) >= 0 ? 0 : 3;
            }),
            0);
}

TEST_F(ServerRulesTest, ACallThatASignalRepeatsGoesOnWaiting) {
  features_.mark_absent(KernelFeature::kWaitKillableRecv);
  constexpr milliseconds kDelay(1000);
  strike_one(1, kDelay, EIO);
  EXPECT_EQ(serve([kDelay] {
              interrupt_after(200, 100);
              const auto began = Clock::now();
              if (::shmget(kKey, kPage, IPC_CREAT | 0600) != -1 || errno != EIO) return 1;
              return Clock::now() - began >= kDelay ? 0 : 2;
            }),
            0);
}

}  // namespace
}  // namespace shmvisor
