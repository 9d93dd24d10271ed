// ChildStop, on a parent that makes a child after a call that is received.
#include "supervisor/inject/child_stop.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "supervisor/inject/tracee.h"
#include "supervisor/procfs/task_status.h"
#include "tests/held_child.h"

namespace shmvisor {
namespace {

/// The grandchildren that are left behind are reaped here.
class ChildStopTest : public HeldChildTest {
 protected:
  ChildStopTest() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }
  ~ChildStopTest() override { ::prctl(PR_SET_CHILD_SUBREAPER, 0); }

  static int make_a_child() {
    raw_call(SYS_shmdt);
    const pid_t made = ::fork();
    if (made == 0) {
      ::pause();
      ::_exit(0);
    }
    return made < 0 ? 1 : ::pause();
  }
  static bool look_until(const std::function<bool()>& done) {
    for (int looks = 0; looks < 2000; ++looks) {
      if (done()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
  static pid_t child_of(pid_t parent) {
    const std::string pid = std::to_string(parent);
    pid_t seen = 0;
    std::ifstream("/proc/" + pid + "/task/" + pid + "/children") >> seen;
    return seen;
  }
  static char state_of(pid_t pid) {
    const auto status = TaskStatus::read(pid);
    return status ? status->state : 'X';
  }
  static pid_t tracer_of(pid_t pid) {
    const auto status = TaskStatus::read(pid);
    return status ? status->tracer_pid : -1;
  }
  static void end_orphan(pid_t pid) {
    ::kill(pid, SIGKILL);
    EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
  }
};

TEST_F(ChildStopTest, TheChildIsStoppedAndItsParentGoesOn) {
  SupervisedChild child(make_a_child);
  ASSERT_EQ(child.trouble(), "");
  const seccomp_notif notif = child.receive();
  pid_t made = 0;
  {
    auto expected = ChildStop::expect_of(child.pid());
    ASSERT_TRUE(expected);
    ASSERT_TRUE(child.listener().respond(notif.id, 0));
    auto stopped = expected->wait_for_child();
    ASSERT_TRUE(stopped);
    made = stopped->tid();
    EXPECT_EQ(made, child_of(child.pid()));
    EXPECT_EQ(tracer_of(made), ::getpid());
    EXPECT_EQ(tracer_of(child.pid()), 0);
  }
  EXPECT_EQ(tracer_of(made), 0);
  EXPECT_FALSE(Tracee::this_thread_abandoned_one());
  ::kill(child.pid(), SIGKILL);
  ASSERT_TRUE(child.child().wait(0));
  end_orphan(made);
}

TEST_F(ChildStopTest, AParentThatIsKilledLeavesNoChildStopped) {
  SupervisedChild child(make_a_child);
  ASSERT_EQ(child.trouble(), "");
  const seccomp_notif notif = child.receive();
  pid_t made = 0;
  bool ends = false;
  std::thread([&] {
    auto expected = ChildStop::expect_of(child.pid());
    ASSERT_TRUE(expected);
    ASSERT_TRUE(child.listener().respond(notif.id, 0));
    ASSERT_TRUE(look_until([&] { return (made = child_of(child.pid())) != 0; }));
    ASSERT_TRUE(look_until([&] { return state_of(child.pid()) == 't'; }));
    ::kill(child.pid(), SIGKILL);
    ASSERT_TRUE(look_until([&] { return state_of(child.pid()) == 'Z'; }));
    EXPECT_FALSE(expected->wait_for_child());
    ends = Tracee::this_thread_abandoned_one();
  }).join();
  ASSERT_NE(made, 0);
  EXPECT_TRUE(ends) << "the child stays stopped for as long as the thread";
  EXPECT_TRUE(look_until([&] { return tracer_of(made) == 0; }));
  EXPECT_TRUE(look_until([&] { return state_of(made) == 'S'; }));
  ASSERT_TRUE(child.child().wait(0));
  end_orphan(made);
}

}  // namespace
}  // namespace shmvisor
