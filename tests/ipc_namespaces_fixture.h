// Processes that make IPC namespaces step by step, and the registries for them.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <vector>

#include "supervisor/namespaces/ipc_namespaces.h"
#include "supervisor/scope/descendant_scope.h"
#include "tests/fakes/fake_host.h"
#include "tests/supervised_child.h"

namespace shmvisor {

class IpcNamespacesTest : public ::testing::Test {
 protected:
  IpcNamespacesTest()
      : namespaces_(host_, {}, NamespaceIds::ours().ipc), ipc_(namespaces_, scope_) {
    ipc_.use(features_);
  }
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root can make an IPC namespace";
  }

  /// As on kernels where only looks at processes tell.
  void ask_no_kernel() { features_.mark_absent(KernelFeature::kNamespaceHandles); }

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
  std::shared_ptr<Registry> registry_of(pid_t tid, IpcHome* home = nullptr) {
    const auto found = ipc_.of(*threads_.of(tid).identity, home);
    return found ? found->registry : nullptr;
  }

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
  Registries namespaces_;
  IpcNamespaces ipc_;
  ThreadIdentities threads_{features_};
};

}  // namespace shmvisor
