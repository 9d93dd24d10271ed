// GroupSignals: what was for the group, in which order, and who waits for whom.
#include "supervisor/launch/group_signals.h"

#include <spdlog/spdlog.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <string>

#include "tests/own_group.h"

namespace shmvisor {
namespace {

using Clock = EventLoop::Clock;

/// In a child that leads a group of its own, with all signals blocked. What is handed over is told
/// by a letter: "g" for the group, "u" for us alone.
class Heard {
 public:
  explicit Heard(bool with_witness = true)
      : signals_(
            loop_, [this](const auto& /*info*/, bool to_group) { said += to_group ? 'g' : 'u'; },
            [this] {
              ++answers;
              signals_.all_added();
            }) {
    spdlog::set_level(spdlog::level::off);
    if (with_witness) signals_.use(std::make_unique<GroupWitness>());
  }

  /// Reads what reached us, as signalfd(2) would tell of it.
  void read_all() {
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGCHLD);
    siginfo_t info{};
    const timespec at_once{};
    while (::sigtimedwait(&all, &info, &at_once) > 0) {
      signalfd_siginfo told{};
      told.ssi_signo = static_cast<std::uint32_t>(info.si_signo);
      told.ssi_code = info.si_code;
      told.ssi_pid = static_cast<std::uint32_t>(info.si_pid);
      told.ssi_uid = info.si_uid;
      signals_.add(told);
    }
  }
  bool turn_until(const std::string& wanted) {
    const auto end = Clock::now() + std::chrono::seconds(20);
    while (said != wanted && Clock::now() < end) {
      if (!loop_.turn(Clock::now() + std::chrono::milliseconds(20))) return false;
    }
    return said == wanted;
  }
  [[nodiscard]] EventLoop& loop() { return loop_; }
  [[nodiscard]] GroupSignals& signals() { return signals_; }

  std::string said;
  int answers = 0;

 private:
  EventLoop loop_;
  GroupSignals signals_;
};

TEST(GroupSignalsTest, EachIsToldApartInItsOrder) {
  EXPECT_EQ(in_own_group([] {
              Heard heard;
              ::kill(::getpid(), SIGUSR1);
              ::kill(0, SIGUSR2);
              heard.read_all();
              if (!heard.turn_until("ug") || heard.answers != 1) return 1;
              ::kill(0, SIGUSR1);
              heard.read_all();
              ::kill(::getpid(), SIGUSR2);
              heard.read_all();  // while the first is asked about
              if (!heard.turn_until("uggu")) return 2;
              return 0;
            }),
            0);
}

TEST(GroupSignalsTest, WithoutAWitnessAllAreForUsAlone) {
  EXPECT_EQ(in_own_group([] {
              Heard heard(false);
              ::kill(0, SIGUSR1);
              heard.read_all();
              return heard.said == "u" ? 0 : 1;
            }),
            0);
}

// Any process of our user may stop it. The loop does not wait for it.
TEST(GroupSignalsTest, AStoppedWitnessKeepsNobodyWaiting) {
  EXPECT_EQ(in_own_group([] {
              Heard heard;
              const pid_t witness = find_witness();
              if (witness == 0) return 1;
              ::kill(witness, SIGSTOP);
              ::kill(::getpid(), SIGUSR1);
              bool timely = false;
              auto timer = heard.loop().timer([&] { timely = heard.said.empty(); });
              heard.read_all();
              timer.set(Clock::now());
              if (!heard.loop().turn(Clock::now()) || !timely) return 2;
              if (!heard.turn_until("u")) return 3;
              // Another one stands in for it.
              for (int looks = 0; looks < 1000 && find_witness() == witness; ++looks) {
                if (!heard.loop().turn(Clock::now() + std::chrono::milliseconds(10))) return 4;
              }
              for (int looks = 0; looks < 1000 && find_witness() == 0; ++looks) {
                if (!heard.loop().turn(Clock::now() + std::chrono::milliseconds(10))) return 5;
              }
              ::kill(0, SIGUSR2);
              heard.read_all();
              return heard.turn_until("ug") ? 0 : 6;
            }),
            0);
}

TEST(GroupSignalsTest, WhatIsAskedAboutIsAnsweredBeforeTheWitnessGoes) {
  EXPECT_EQ(in_own_group([] {
              Heard heard;
              ::kill(0, SIGUSR1);
              heard.read_all();
              heard.signals().dismiss_witness();
              return heard.turn_until("g") ? 0 : 1;
            }),
            0);
}

TEST(GroupSignalsTest, WhatWaitsIsHandedOverWhenTheWitnessGoes) {
  EXPECT_EQ(in_own_group([] {
              Heard heard;
              ::kill(find_witness(), SIGSTOP);
              ::kill(::getpid(), SIGUSR1);
              ::kill(::getpid(), SIGUSR2);
              heard.read_all();
              if (!heard.said.empty()) return 1;
              heard.signals().dismiss_witness();
              if (!heard.turn_until("uu")) return 2;
              ::kill(0, SIGUSR1);
              heard.read_all();
              return heard.said == "uuu" ? 0 : 3;
            }),
            0);
}

TEST(GroupSignalsTest, MoreThanOneAnswerHoldsAreToldApart) {
  EXPECT_EQ(in_own_group([] {
              constexpr int kMany = 100;
              Heard heard;
              for (int sent = 0; sent < kMany; ++sent) {
                if (::kill(0, SIGRTMIN) != 0) return 1;
              }
              heard.read_all();
              return heard.turn_until(std::string(kMany, 'g')) ? 0 : 2;
            }),
            0);
}

// Nobody adds to one that is full. If somebody does, no signal is lost or told of twice.
TEST(GroupSignalsTest, BeyondItsRoomAllAreHandedOver) {
  EXPECT_EQ(in_own_group([] {
              Heard heard;
              signalfd_siginfo alone{};
              alone.ssi_signo = SIGUSR1;
              for (std::size_t added = 0; added < GroupSignals::kMostWaiting; ++added) {
                const bool has_room = added + GroupSignals::kAtOnce <= GroupSignals::kMostWaiting;
                if (heard.signals().full() == has_room) return 1;
                heard.signals().add(alone);
              }
              if (!heard.said.empty()) return 2;
              heard.signals().add(alone);
              const std::string all(GroupSignals::kMostWaiting + 1, 'u');
              if (heard.said != all) return 3;
              // And there is a witness again, soon.
              const auto end = Clock::now() + std::chrono::seconds(20);
              while (heard.said.back() != 'g' && Clock::now() < end) {
                ::kill(0, SIGUSR2);
                heard.read_all();
                if (!heard.loop().turn(Clock::now() + std::chrono::milliseconds(20))) return 4;
              }
              return heard.said.substr(0, all.size()) == all && heard.said.back() == 'g' ? 0 : 5;
            }),
            0);
}

}  // namespace
}  // namespace shmvisor
