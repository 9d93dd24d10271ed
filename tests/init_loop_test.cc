// InitLoop, each in a child of its own that is the supervisor of one command without segments.
#include "supervisor/launch/init_loop.h"

#include <fcntl.h>
#include <sys/prctl.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

#include "policy/filter/filter_program.h"
#include "supervisor/launch/command.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/launch/last_process.h"
#include "supervisor/scope/descendant_scope.h"
#include "supervisor/session/upkeep.h"
#include "tests/removed_segment.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

/// The descriptor on which a command says that it is ready.
constexpr int kReadyFd = 9;

class InitLoopTest : public ::testing::Test {
 protected:
  struct After {
    bool all_gone = false;
    bool children_left = false;
  };

  static constexpr int kInvalid = 202;

  /// Runs `script` under an init loop as shmvisor does, in the calling process. The exit status.
  /// `before`: what happens to the command before the loop exists.
  int supervise(
      const std::string& script, bool linger, bool own_group = false,
      const std::function<void(pid_t)>& before = [](pid_t) {}) {
    const auto program = build_filter_program();
    const ProcessGroup group(own_group);
    const InheritedState inherited(group);
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    KernelFeatures features;
    ProcMounts mounts(ProcMode::kOff, false);
    auto started = Command::start({"sh", "-c", script}, *program, inherited, mounts, features);
    if (!started) return 200;
    Command& command = *started;
    Listener listener(command.take_listener());
    command.go_on();
    const DescendantScope scope(features);
    before(command.pid());
    EventLoop loop;
    LastProcess last(loop, listener);
    InitLoop init(loop, command.pid(), group, false, inherited.watched(), scope);
    if (!init.valid()) {
      ::kill(command.pid(), SIGKILL);
      ::waitpid(command.pid(), nullptr, 0);
      return kInvalid;
    }
    if (command.wait_for_exec()) return 201;
    const int status = init.run(linger, [&last] { return last.gone(); });
    after_->all_gone = listener.ended();
    siginfo_t info{};
    after_->children_left = ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
    const auto left = scope.processes();
    for (const pid_t pid : *left) ::kill(pid, SIGKILL);
    while (::waitpid(-1, nullptr, 0) > 0) {
    }
    return status;
  }
  /// The same in a child; the gate ready_ is the command's kReadyFd.
  std::unique_ptr<Child> start(const std::string& script, bool linger = true) {
    return std::make_unique<Child>([this, script, linger] {
      ready_.give(kReadyFd);
      return supervise(script, linger);
    });
  }
  int run(const std::string& script, bool linger = true) {
    return exit_status_of(*start(script, linger));
  }
  /// Sends the signal again and again until the child has ended: it may come too early.
  static int signal_until_ended(Child& child, int number) {
    for (int attempt = 0; attempt < 500; ++attempt) {
      ::kill(child.pid(), number);
      siginfo_t info{};
      ::usleep(20000);
      if (::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOHANG | WNOWAIT) ==
              0 &&
          info.si_pid != 0) {
        break;
      }
    }
    return exit_status_of(child);
  }

  SharedPage<After> after_;
  Gate ready_;
};

TEST_F(InitLoopTest, TheCommandsOwnStatus) {
  EXPECT_EQ(run("exit 0"), 0);
  EXPECT_TRUE(after_->all_gone);
  EXPECT_EQ(run("exit 77"), 77);
  EXPECT_EQ(run("kill -KILL $$"), exit_status::kSignalBase + SIGKILL);
  EXPECT_EQ(run("kill -TERM $$"), exit_status::kSignalBase + SIGTERM);
  EXPECT_FALSE(after_->children_left);
}

TEST_F(InitLoopTest, DescendantsAreWaitedFor) {
  EXPECT_EQ(run("(sleep 0.3; exit 5) & exit 3"), 3);
  EXPECT_TRUE(after_->all_gone);
}

TEST_F(InitLoopTest, OrNot) {
  EXPECT_EQ(run("sleep 60 & exit 3", false), 3);
  EXPECT_FALSE(after_->all_gone);
}

TEST_F(InitLoopTest, OrphansAreReaped) {
  EXPECT_EQ(run("for i in 1 2 3 4 5 6 7 8; do (sleep 0.0$i &) ; done; sleep 0.5; "
                "ps -o stat= --ppid $PPID | grep -q Z && exit 1; exit 0"),
            0);
  EXPECT_FALSE(after_->children_left);
}

TEST_F(InitLoopTest, ManyOrphansAreReaped) {
  EXPECT_EQ(run("i=0; while [ $i -lt 200 ]; do (: &) ; i=$((i+1)); done; sleep 0.5; "
                "ps -o stat= --ppid $PPID | grep -q Z && exit 1; exit 0"),
            0);
  EXPECT_FALSE(after_->children_left);
}

// Of real-time signals each one is passed on. More of them come than can be, and the loop sees the
// command's end nevertheless.
TEST_F(InitLoopTest, AFloodOfSignalsDelaysNothing) {
  const int number = SIGRTMIN + 6;
  const auto child =
      start("trap '' " + std::to_string(number) + "; echo >&9; sleep 0.3; exit 7", false);
  ASSERT_TRUE(ready_.pass());
  std::atomic<bool> ended{false};
  const auto flood = [&, until = std::chrono::steady_clock::now() + std::chrono::seconds(20)] {
    while (!ended && std::chrono::steady_clock::now() < until) {
      for (int i = 0; i < 100; ++i) ::kill(child->pid(), number);
    }
  };
  std::thread one(flood);
  std::thread other(flood);
  siginfo_t info{};
  const auto began = std::chrono::steady_clock::now();
  ::waitid(P_PID, static_cast<id_t>(child->pid()), &info, WEXITED | WNOWAIT);
  ended = true;
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(15));
  one.join();
  other.join();
  EXPECT_EQ(exit_status_of(*child), 7);
}

TEST_F(InitLoopTest, SignalsArePassedOn) {
  for (const auto& [number, name] : {std::pair{SIGUSR1, "USR1"}, std::pair{SIGTERM, "TERM"},
                                     std::pair{SIGHUP, "HUP"}, std::pair{SIGWINCH, "WINCH"}}) {
    const auto child =
        start(std::string("trap 'exit 9' ") + name + "; echo >&9; while :; do sleep 0.01; done");
    ASSERT_TRUE(ready_.pass());
    ::kill(child->pid(), number);
    EXPECT_EQ(exit_status_of(*child), 9) << name;
  }
}

TEST_F(InitLoopTest, SignalsThatEndTheCommandDoNotEndUs) {
  const auto child = start("echo >&9; while :; do sleep 0.01; done");
  ASSERT_TRUE(ready_.pass());
  ::kill(child->pid(), SIGINT);
  EXPECT_EQ(exit_status_of(*child), exit_status::kSignalBase + SIGINT);
}

TEST_F(InitLoopTest, WhatIsLeftOfTheDescendantsHearsThem) {
  const auto child = start(
      // Ready once the command is gone and reaped: until then a signal is for the command.
      "exec 2>/dev/null; (trap 'exit 0' USR1; while kill -0 $$; do sleep 0.01; done; echo >&9; "
      "while :; do sleep 0.01; done) & exit 4");
  ASSERT_TRUE(ready_.pass());
  EXPECT_EQ(signal_until_ended(*child, SIGUSR1), 4);
  EXPECT_TRUE(after_->all_gone);
}

TEST_F(InitLoopTest, ACommandThatStoppedBeforeTheLoopGoesOn) {
  Child child([this] {
    // A terminal of our own. Its session's leader, with no shell above, is not stopped itself.
    const UniqueFd master(::posix_openpt(O_RDWR | O_CLOEXEC | O_NOCTTY));
    if (::setsid() < 0 || ::grantpt(master.get()) != 0 || ::unlockpt(master.get()) != 0) return 1;
    const UniqueFd terminal(::open(::ptsname(master.get()), O_RDWR | O_CLOEXEC));
    return supervise("kill -TSTP $$; exit 7", true, true, [](pid_t command) {
      siginfo_t info{};
      ::waitid(P_PID, static_cast<id_t>(command), &info, WSTOPPED | WNOWAIT);
    });
  });
  EXPECT_EQ(exit_status_of(child), 7);
}

TEST_F(InitLoopTest, WithoutADescriptorForSignalsItIsNotValid) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "UndefinedBehaviorSanitizer, built in as well, needs descriptors itself";
#endif
  Child child([this] {
    return supervise("exit 0", true, false, [](pid_t) {
      rlimit limit{};
      ::getrlimit(RLIMIT_NOFILE, &limit);
      limit.rlim_cur = 0;
      ::setrlimit(RLIMIT_NOFILE, &limit);
    });
  });
  EXPECT_EQ(exit_status_of(child), kInvalid);
}

TEST_F(InitLoopTest, ARemovedSegmentGoesWithoutAnyCall) {
  // The loop itself settles: nobody calls after the last mapping has gone. The segment is made
  // here, as a call would have made it, and mapped by the command's own parent.
  Child child([this] {
    const auto program = build_filter_program();
    const ProcessGroup group(false);
    const InheritedState inherited(group);
    KernelFeatures features;
    ProcMounts mounts(ProcMode::kOff, false);
    const DescendantScope scope(features);
    EventLoop loop;
    const auto resources = std::make_shared<SessionResources>(features);
    Upkeep upkeep(loop, resources);
    const auto session = Session::of_command(resources, Limits());
    upkeep.add(session);
    const auto& registry = session->registries().initial();
    void* const mapped = map_removed_segment(*session, *resources, scope);
    if (registry->read()->in_use() != 1) return 1;
    // The command inherits the mapping and unmaps it by its exec.
    auto started = Command::start({"sleep", "0.1"}, *program, inherited, mounts, features);
    Command& command = *started;
    Listener listener(command.take_listener());
    command.go_on();
    ::munmap(mapped, kPageBytes);
    LastProcess last(loop, listener);
    InitLoop init(loop, command.pid(), group, false, inherited.watched(), scope);
    if (command.wait_for_exec()) return 2;
    if (init.run(true, [&last] { return last.gone(); }) != 0) return 3;
    return registry->read()->in_use() == 0 ? 0 : 4;
  });
  EXPECT_EQ(exit_status_of(child), 0);
}

}  // namespace
}  // namespace shmvisor
