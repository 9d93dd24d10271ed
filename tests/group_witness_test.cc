#include "supervisor/launch/group_witness.h"

#include <poll.h>

#include <algorithm>
#include <csignal>
#include <vector>

#include "tests/foreign_tracer.h"
#include "tests/own_group.h"

namespace shmvisor {
namespace {

/// Each in a child that leads a group of its own, with all signals blocked.
class GroupWitnessTest : public ::testing::Test {
 protected:
  /// What it answers; nothing where it does not.
  static std::vector<GroupWitness::Heard> ask(GroupWitness& witness) {
    std::vector<GroupWitness::Heard> heard;
    if (!witness.ask()) return heard;
    for (;;) {
      pollfd readable{witness.fd(), POLLIN, 0};
      if (::poll(&readable, 1, 2000) != 1) return {};
      switch (witness.take(heard)) {
        case GroupWitness::Answered::kNotYet:
          continue;
        case GroupWitness::Answered::kAll:
          return heard;
        case GroupWitness::Answered::kNever:
          return {};
      }
    }
  }
  static int count(const std::vector<GroupWitness::Heard>& heard, int number) {
    return static_cast<int>(std::ranges::count(heard, number, &GroupWitness::Heard::number));
  }
};

TEST_F(GroupWitnessTest, WhatIsForTheGroupIsCounted) {
  EXPECT_EQ(in_own_group([] {
              GroupWitness witness;
              for (int round = 0; round < 50; ++round) {
                ::kill(0, SIGUSR1);
                ::kill(0, SIGTERM);
                const auto heard = ask(witness);
                if (count(heard, SIGUSR1) != 1 || count(heard, SIGTERM) != 1 || heard.size() != 2)
                  return 1;
              }
              return 0;
            }),
            0);
}

TEST_F(GroupWitnessTest, WhatIsForOneProcessIsNot) {
  EXPECT_EQ(in_own_group([] {
              GroupWitness witness;
              ::kill(::getpid(), SIGUSR1);
              ::raise(SIGTERM);
              return ask(witness).empty() ? 0 : 1;
            }),
            0);
}

TEST_F(GroupWitnessTest, RealTimeSignalsAreCountedEachTime) {
  EXPECT_EQ(in_own_group([] {
              GroupWitness witness;
              for (int i = 0; i < 200; ++i) ::kill(0, SIGRTMIN);
              return count(ask(witness), SIGRTMIN);
            }),
            200);
}

// A zombie of ours would be seen by who looks for our children, until we end.
TEST_F(GroupWitnessTest, OneWhoseEndComesLateIsReapedThen) {
  EXPECT_EQ(in_own_group([] {
              GroupWitness witness;
              const pid_t child = find_witness();
              if (child == 0) return 1;
              ForeignTracer tracer(child);
              if (!tracer.traces()) return 2;
              witness.dismiss();
              for (int looks = 0; looks < 20; ++looks) {
                if (witness.gone()) return 3;
                ::usleep(1000);
              }
              if (tracer.end() != 0) return 4;
              for (int looks = 0; looks < 10000 && !witness.gone(); ++looks) ::usleep(1000);
              if (!ask(witness).empty()) return 5;
              return witness.gone() && ::kill(child, 0) != 0 && errno == ESRCH ? 0 : 6;
            }),
            0);
}

TEST_F(GroupWitnessTest, OneThatIsStoppedIsReplaced) {
  EXPECT_EQ(in_own_group([] {
              GroupWitness witness;
              siginfo_t info{};
              // wait(2) sees it with __WALL alone.
              if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 || errno != ECHILD) return 1;
              const pid_t child = find_witness();
              if (child == 0) return 2;
              ::kill(child, SIGSTOP);
              if (!witness.ask()) return 3;
              pollfd readable{witness.fd(), POLLIN, 0};
              if (::poll(&readable, 1, 50) != 0 || witness.wants_cpu()) return 4;
              witness.dismiss();
              for (int looks = 0; looks < 10000 && !witness.start_again(); ++looks) ::usleep(1000);
              ::kill(0, SIGUSR1);
              return count(ask(witness), SIGUSR1) == 1 ? 0 : 5;
            }),
            0);
}

TEST_F(GroupWitnessTest, ItEndsWithItsMaker) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);  // to reap it
  Gate made;
  Child child([&] {
    ::setpgid(0, 0);
    const GroupWitness witness;
    made.open();
    return ::pause();
  });
  ASSERT_TRUE(made.pass());
  ::kill(child.pid(), SIGKILL);
  ASSERT_TRUE(child.wait(0));
  pid_t witness = 0;
  for (int tries = 0; tries < 1000 && witness == 0; ++tries) {
    ::usleep(10000);
    witness = ::waitpid(-1, nullptr, WNOHANG);
  }
  EXPECT_GT(witness, 0) << "it lives on";
}

}  // namespace
}  // namespace shmvisor
