// Command, each in a child of its own: it changes the signal handling of its process.
#include "supervisor/launch/command.h"

#include <fcntl.h>

#include <csignal>
#include <fstream>

#include "policy/filter/filter_program.h"
#include "supervisor/launch/exit_status.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

/// With pidfd_getfd(2), and by the socket between parent and child.
class CommandTest : public ::testing::TestWithParam<bool> {
 protected:
  CommandTest() {
    if (!GetParam()) features_.mark_absent(KernelFeature::kPidfdGetfd);
  }

  /// Starts `arguments` and waits for its end; shell terms, and 200 and more where it goes wrong.
  int run(const std::vector<std::string>& arguments) {
    const auto program = build_filter_program();
    if (!program) return 200;
    const ProcessGroup group(false);
    const InheritedState inherited(group);
    auto started = Command::start(arguments, *program, inherited, mounts_, features_);
    if (!started) {
      message_ = started.error().message;
      return started.error().exit_status;
    }
    Command& command = *started;
    const UniqueFd listener = command.take_listener();
    command.go_on();
    if (!listener.valid()) return 201;
    if (::fcntl(listener.get(), F_GETFD) != FD_CLOEXEC) return 202;
    if (const auto failure = command.wait_for_exec()) {
      message_ = failure->message;
      if (::waitpid(command.pid(), nullptr, 0) != command.pid()) return 203;
      return failure->exit_status;
    }
    int status = 0;
    if (::waitpid(command.pid(), &status, 0) != command.pid()) return 204;
    return WIFEXITED(status) ? WEXITSTATUS(status) : exit_status::kSignalBase + WTERMSIG(status);
  }
  int run_shell(const std::string& script) { return run({"sh", "-c", script}); }

  /// What `body` returns in a child without descriptors of ours.
  int in_child(const std::function<int()>& body) {
    Child child([&] {
      ::close_range(3, ~0U, 0);
      return body();
    });
    return exit_status_of(child);
  }

  KernelFeatures features_;
  ProcMounts mounts_{ProcMode::kOff, false};
  std::string message_;
};

TEST_P(CommandTest, ItRunsAndEnds) {
  EXPECT_EQ(in_child([&] { return run({"true"}); }), 0);
  EXPECT_EQ(in_child([&] { return run_shell("exit 42"); }), 42);
  EXPECT_EQ(in_child([&] { return run_shell("kill -TERM $$"); }), 128 + SIGTERM);
}

TEST_P(CommandTest, ArgumentsArriveAsTheyAre) {
  EXPECT_EQ(
      in_child([&] {
        return run({"sh", "-c", "test \"$1,$2,$3,$#\" = 'a b,,--,3'", "name", "a b", "", "--"});
      }),
      0);
}

TEST_P(CommandTest, ItIsUnderTheFilter) {
  EXPECT_EQ(in_child([&] { return run_shell("grep -q 'Seccomp:.2' /proc/self/status"); }), 0);
}

TEST_P(CommandTest, PrivilegesAreGivenUpOnlyWhereTheKernelWantsIt) {
  // With CAP_SYS_ADMIN setuid programs keep working.
  const char* const expected = geteuid() == 0 ? "0" : "1";
  EXPECT_EQ(
      in_child([&] {
        return run_shell(std::string("grep -q 'NoNewPrivs:.") + expected + "' /proc/self/status");
      }),
      0);
}

TEST_P(CommandTest, SignalsAreAsTheyWere) {
  for (const char* const field : {"SigBlk:", "SigIgn:", "SigPnd:"}) {
    EXPECT_EQ(in_child([&] {
                sigset_t mask;
                sigemptyset(&mask);
                sigaddset(&mask, SIGUSR2);
                sigaddset(&mask, SIGRTMAX);
                sigaddset(&mask, SIGSTKFLT);
                ::sigprocmask(SIG_SETMASK, &mask, nullptr);
                ::signal(SIGCHLD, SIG_IGN);
                ::signal(SIGQUIT, SIG_IGN);
                std::string expected;
                std::ifstream status("/proc/self/status");
                for (std::string line; std::getline(status, line);) {
                  if (line.starts_with(field)) expected = line;
                }
                const auto program = build_filter_program();
                const ProcessGroup group(false);
                const InheritedState inherited(group);
                ::signal(SIGCHLD, SIG_DFL);  // as the init loop does
                auto started = Command::start({"grep", "-q", expected, "/proc/self/status"},
                                              *program, inherited, mounts_, features_);
                Command& command = *started;
                const UniqueFd listener = command.take_listener();
                command.go_on();
                if (command.wait_for_exec()) return 201;
                int wait_status = 0;
                ::waitpid(command.pid(), &wait_status, 0);
                return WEXITSTATUS(wait_status);
              }),
              0)
        << field;
  }
}

TEST_P(CommandTest, NoDescriptorOfOursReachesIt) {
  EXPECT_EQ(in_child([&] {
              // 0, 1, 2, and the folder that ls itself reads.
              return run_shell("test $(ls /proc/self/fd | wc -l) -le 4");
            }),
            0);
}

TEST_P(CommandTest, NotFound) {
  EXPECT_EQ(in_child([&] { return run({"no-such-program-anywhere"}); }), exit_status::kNotFound);
  EXPECT_EQ(in_child([&] { return run({"/no/such/file"}); }), exit_status::kNotFound);
  EXPECT_EQ(in_child([&] {
              run({"no-such-program-anywhere"});
              return message_.find("no-such-program-anywhere") != std::string::npos ? 0 : 1;
            }),
            0);
}

TEST_P(CommandTest, NotExecutable) {
  EXPECT_EQ(in_child([&] { return run({"/"}); }), exit_status::kNotExecutable);
  EXPECT_EQ(in_child([&] { return run({"/etc/passwd"}); }), exit_status::kNotExecutable);
}

TEST_P(CommandTest, UnderAnotherListener) {
  EXPECT_EQ(in_child([&] {
              const auto program = build_filter_program();
              ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
              const auto outer = install_filter(*program, {});
              if (!outer) return 1;
              if (run({"true"}) != exit_status::kOwnFailure) return 2;
              return message_.find("already supervised") != std::string::npos ? 0 : 3;
            }),
            0);
}

TEST_P(CommandTest, AFilterThatTheKernelRefuses) {
  EXPECT_EQ(in_child([&] {
              const ProcessGroup group(false);
              const InheritedState inherited(group);
              const std::array<sock_filter, 1> bad{sock_filter{0xffff, 0, 0, 0}};
              auto started = Command::start({"true"}, bad, inherited, mounts_, features_);
              if (started) return 1;
              if (::waitpid(-1, nullptr, 0) != -1 || errno != ECHILD) return 2;
              return started.error().exit_status == exit_status::kOwnFailure ? 0 : 3;
            }),
            0);
}

INSTANTIATE_TEST_SUITE_P(PidfdAndSocket, CommandTest, ::testing::Values(true, false),
                         [](const auto& test) { return test.param ? "Pidfd" : "Socket"; });

}  // namespace
}  // namespace shmvisor
