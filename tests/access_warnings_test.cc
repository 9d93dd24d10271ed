// What the log says of a process that is out of reach.
#include "supervisor/scope/access_warnings.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sys/ptrace.h>

#include <array>
#include <cstddef>
#include <sstream>
#include <string>

#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

class RefusalsTest : public ::testing::Test {
 protected:
  RefusalsTest() {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log_)));
  }
  ~RefusalsTest() override { spdlog::set_default_logger(before_); }

  std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
  std::ostringstream log_;
};

TEST_F(RefusalsTest, TellsOnceAndRepeatsNothingThatATerminalWouldObey) {
  Gate named;
  Child child([&] {
    ::prctl(PR_SET_NAME, "a\x1b[2Jb\rc\xff");
    named.open();
    return ::pause();
  });
  ASSERT_TRUE(named.pass());
  AccessWarnings refusals;
  refusals.warn_of(child.pid());
  EXPECT_NE(log_.str().find("(a?[2Jb?c?)"), std::string::npos) << log_.str();
  const std::string once = log_.str();
  refusals.warn_of(child.pid());
  EXPECT_EQ(log_.str(), once);
}

/// A filter that answers EPERM to ptrace(2), and no listener that would.
bool forbid_ptrace() {
  const std::array program{
      sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_ptrace},
      sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
      sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  };
  const sock_fprog filter{program.size(), const_cast<sock_filter*>(program.data())};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST_F(RefusalsTest, TellsThatAFilterForbidsPtrace) {
  Child child([&] {
    if (!forbid_ptrace()) return 2;
    AccessWarnings().warn_of(::getppid());
    return log_.str().find("forbids ptrace(2)") != std::string::npos ? 0 : 1;
  });
  EXPECT_EQ(exit_status_of(child), 0);
}

TEST_F(RefusalsTest, NamesTheTracer) {
  Child tracee([] { return ::pause(); });
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, tracee.pid(), nullptr, nullptr), 0);
  AccessWarnings().warn_of(tracee.pid());
  EXPECT_NE(log_.str().find("traced by process " + std::to_string(::getpid())), std::string::npos)
      << log_.str();
}

}  // namespace
}  // namespace shmvisor
