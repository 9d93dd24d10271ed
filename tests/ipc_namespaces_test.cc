#include "supervisor/process/ipc_namespaces.h"

#include <fcntl.h>
#include <sched.h>

#include <atomic>
#include <csignal>

#include "supervisor/process/descendant_scope.h"
#include "tests/fakes/fake_host.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

class IpcNamespacesTest : public ::testing::Test {
 protected:
  IpcNamespacesTest()
      : namespaces_(host_, {}, NamespaceIds::ours().ipc), ipc_(namespaces_, scope_) {}
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root can make an IPC namespace";
  }

  /// A child that takes one step of its life each time its gate is opened.
  struct Stepper {
    Gate step;
    Gate done;
    std::unique_ptr<Child> child;
    void go() {
      step.open();
      EXPECT_TRUE(done.pass());
    }
  };
  static std::unique_ptr<Stepper> steps(const std::vector<std::function<bool()>>& actions) {
    auto stepper = std::make_unique<Stepper>();
    stepper->child = std::make_unique<Child>([&, self = stepper.get()] {
      for (const auto& action : actions) {
        if (!self->step.pass() || !action()) return 1;
        self->done.open();
      }
      return ::pause();
    });
    return stepper;
  }
  std::shared_ptr<Registry> registry_of(pid_t tid) { return ipc_.of(*threads_.of(tid).identity); }

  /// Not at once where other programs begin all the time.
  bool is_forgotten(const std::weak_ptr<Registry>& registry) {
    for (int wait = 0; wait < 5000 && !registry.expired(); ++wait) {
      while (::waitpid(-1, nullptr, WNOHANG) > 0) {
      }
      ipc_.sweep();
      ::usleep(1000);
    }
    return registry.expired();
  }

  FakeHost host_;
  KernelFeatures features_;
  DescendantScope scope_{features_};
  Namespaces namespaces_;
  IpcNamespaces ipc_;
  ThreadIdentities threads_{features_};
};

TEST_F(IpcNamespacesTest, OursIsTheInitialOne) {
  EXPECT_EQ(registry_of(gettid()), namespaces_.initial());
  EXPECT_FALSE(ipc_.need_sweeping());
}

TEST_F(IpcNamespacesTest, ANamespaceLivesAsLongAsItsProcesses) {
  const auto stepper = steps({[] { return ::unshare(CLONE_NEWIPC) == 0; }});
  EXPECT_EQ(registry_of(stepper->child->pid()), namespaces_.initial());
  stepper->go();
  threads_.namespaces_change(stepper->child->pid());
  const std::weak_ptr<Registry> own = registry_of(stepper->child->pid());
  EXPECT_NE(own.lock(), namespaces_.initial());
  EXPECT_EQ(own.lock(), registry_of(stepper->child->pid()));
  EXPECT_TRUE(ipc_.need_sweeping());
  ipc_.sweep();
  EXPECT_FALSE(own.expired());
  ::kill(stepper->child->pid(), SIGKILL);
  ASSERT_TRUE(stepper->child->wait(0));
  EXPECT_TRUE(is_forgotten(own));
  EXPECT_FALSE(ipc_.need_sweeping());
  EXPECT_TRUE(namespaces_.others().empty());
}

// A descriptor of its file keeps a namespace alive, as in the kernel: setns(2) may bring it back.
TEST_F(IpcNamespacesTest, ADescriptorKeepsIt) {
  int home = -1;
  int own_file = -1;
  const auto stepper = steps({
      [&] {
        home = ::open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
        return ::unshare(CLONE_NEWIPC) == 0;
      },
      [&] {
        own_file = ::open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
        return ::setns(home, CLONE_NEWIPC) == 0;
      },
      [&] { return ::close(own_file) == 0; },
  });
  const pid_t pid = stepper->child->pid();
  stepper->go();
  const std::weak_ptr<Registry> own = registry_of(pid);
  stepper->go();
  threads_.namespaces_change(pid);
  EXPECT_EQ(registry_of(pid), namespaces_.initial());
  ipc_.sweep();
  EXPECT_FALSE(own.expired());
  stepper->go();
  EXPECT_TRUE(is_forgotten(own));
}

TEST_F(IpcNamespacesTest, TwoProcessesOfOneNamespaceShareARegistry) {
  SharedPage<pid_t> second;
  const auto stepper = steps({[&] {
    if (::unshare(CLONE_NEWIPC) != 0) return false;
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::pause();
      ::_exit(0);
    }
    *second = pid;
    return true;
  }});
  stepper->go();
  const auto registry = registry_of(stepper->child->pid());
  EXPECT_NE(registry, namespaces_.initial());
  EXPECT_EQ(registry_of(*second), registry);
  ::kill(*second, SIGKILL);  // it may not have asked for its parent's death yet
}

// Each process has its successor in the namespace and ends: a list of processes is old at once.
TEST_F(IpcNamespacesTest, ASuccessionOfProcessesKeepsIt) {
  constexpr int kGenerations = 400;
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  SharedPage<std::atomic<int>> generation;
  Gate end;
  const auto stepper = steps({
      [] { return ::unshare(CLONE_NEWIPC) == 0; },
      [&] {
        const int own = ::open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
        if (::unshare(CLONE_NEWIPC) != 0) return false;
        const pid_t first = ::fork();
        if (first != 0) return ::close(own) == 0 && first > 0;
        if (::setns(own, CLONE_NEWIPC) != 0) ::_exit(1);
        ::close(own);
        for (*generation = 1; *generation < kGenerations; ++*generation) {
          if (::fork() != 0) ::_exit(0);
        }
        end.pass();
        ::_exit(0);
      },
  });
  stepper->go();
  const std::weak_ptr<Registry> own = registry_of(stepper->child->pid());
  stepper->go();
  int sweeps = 0;
  for (; *generation < kGenerations && !own.expired(); ++sweeps) ipc_.sweep();
  EXPECT_EQ(*generation, kGenerations) << "forgotten after " << sweeps << " searches";
  EXPECT_FALSE(own.expired());
  end.open();
  EXPECT_TRUE(is_forgotten(own));
}

}  // namespace
}  // namespace shmvisor
