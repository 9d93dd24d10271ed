// The fixture of tests of Server: a supervised child, and all that serves it.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/time.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "supervisor/inject/cpu_pin.h"
#include "supervisor/memory/machine.h"
#include "supervisor/scope/descendant_scope.h"
#include "supervisor/serve/server.h"
#include "tests/serving_suite.h"
#include "tests/supervised_child.h"

namespace shmvisor {

inline constexpr key_t kKey = 0x5e12;
inline constexpr std::size_t kPage = kPageBytes;

class ServerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { set_up_serving_suite(); }

  /// A count of all processes that lasts until other callers have their answers.
  struct SlowCount {
    std::atomic<bool> wanted{false};
    std::atomic<bool> begun{false};
    std::atomic<bool> others_answered{false};
  };
  class SlowScope : public DescendantScope {
   public:
    SlowScope(KernelFeatures& features, SlowCount& count)
        : DescendantScope(features), count_(count) {}
    Result<std::vector<pid_t>> processes() const override {
      if (count_.wanted) {
        count_.begun = true;
        EXPECT_TRUE(becomes(count_.others_answered)) << "others wait for who counts";
      }
      return DescendantScope::processes();
    }

   private:
    SlowCount& count_;
  };
  /// False where it does not in time.
  static bool becomes(const std::atomic<bool>& flag) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!flag && std::chrono::steady_clock::now() < deadline) ::usleep(1000);
    return flag;
  }

  /// Everything that serving threads use.
  struct Supervisor {
    Supervisor(Listener& listener, KernelFeatures& features, SlowCount& slow_count,
               ServerOptions options = {})
        : scope(features, slow_count),
          resources(features),
          machine(resources, scope),
          namespaces(machine, Limits(), NamespaceIds::ours().ipc),
          ipc_namespaces(namespaces, scope),
          call_page(CallPage::create(features)),
          server(listener, ipc_namespaces, features, with_page(std::move(options))) {}

    ServerOptions with_page(ServerOptions options) const {
      options.call_page = call_page.get();
      return options;
    }

    SlowScope scope;
    MachineResources resources;
    Machine machine;
    Registries namespaces;
    IpcNamespaces ipc_namespaces;
    std::unique_ptr<CallPage> call_page;
    Server server;
  };

  /// Serves `body` until it and whatever it forked have ended; its exit status. `meanwhile` runs
  /// beside it.
  int serve(
      const std::function<int()>& body,
      const std::function<void(SupervisedChild&)>& meanwhile = [](SupervisedChild&) {}) {
    auto child = std::make_unique<SupervisedChild>(
        body,
        InstallFlags{.wait_killable_recv = features_.usable(KernelFeature::kWaitKillableRecv)});
    EXPECT_EQ(child->trouble(), "");
    if (!child->trouble().empty()) return -1;
    if (somebody_elses_filter_) child->listener().learn(WaitKind::kUnknown);
    auto supervisor =
        std::make_unique<Supervisor>(child->listener(), features_, *slow_count_, options_);
    {
      std::optional<CpuPin> pin;
      if (start_pinned_) pin.emplace();
      EXPECT_TRUE(supervisor->server.start());
    }
    server_ = &supervisor->server;
    meanwhile(*child);
    server_ = nullptr;
    // Not waitpid(2) yet: it would take our own ptrace-stops of the child for news (InitLoop).
    const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child->pid(), 0)));
    EXPECT_TRUE(wait_readable(pidfd.get())) << "the child does not end";
    const Result<int> status = child->child().wait(0);
    EXPECT_TRUE(status);
    while (::waitpid(-1, nullptr, 0) > 0) {
    }
    const bool ended = supervisor->server.wait_for_end();
    EXPECT_TRUE(ended || !child->listener().ended()) << "threads are left";
    supervisor->namespaces.files().settle();  // as the init loop does
    segments_left_ = supervisor->namespaces.initial()->read()->in_use();
    has_left_ = supervisor->ipc_namespaces.has_left();
    wait_kind_ = child->listener().wait_kind();
    if (!ended) {
      // Older than Linux 6.11: threads still wait in what would be destroyed.
      (void)supervisor.release();
      (void)child.release();
    }
    if (!status) return -1;
    return WIFEXITED(*status) ? WEXITSTATUS(*status) : -WTERMSIG(*status);
  }

  KernelFeatures features_;
  ServerOptions options_;
  Server* server_ = nullptr;  ///< while `meanwhile` runs
  SharedPage<SlowCount> slow_count_;
  bool somebody_elses_filter_ = false;
  bool start_pinned_ = false;
  int segments_left_ = 0;
  bool has_left_ = false;
  WaitKind wait_kind_ = WaitKind::kUnknown;
};

inline char* attach(int id, int flags = 0) {
  return static_cast<char*>(::shmat(id, nullptr, flags));
}
inline std::uint64_t nattch(int id) {
  struct shmid_ds ds {};
  return ::shmctl(id, IPC_STAT, &ds) == 0 ? ds.shm_nattch : 999;
}

/// The whole life of a segment, with a child that shares it.
inline int life_of_a_segment() {
  const int id = ::shmget(kKey, 3 * kPage, IPC_CREAT | IPC_EXCL | 0600);
  if (id < 0) return 1;
  if (::shmget(kKey, 1, IPC_CREAT | IPC_EXCL) != -1 || errno != EEXIST) return 2;
  char* const ours = attach(id);
  if (ours == MAP_FAILED) return 3;
  std::strcpy(ours, "from the parent");
  const pid_t pid = ::fork();
  if (pid == 0) {
    char* const mine = attach(::shmget(kKey, 0, 0));
    if (std::strcmp(mine, "from the parent") != 0) ::_exit(1);
    std::strcpy(ours + kPage, "from the child");
    ::_exit(nattch(id) == 3 ? 0 : 2);
  }
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid || status != 0) return 4;
  if (std::strcmp(ours + kPage, "from the child") != 0) return 5;
  struct shmid_ds ds {};
  if (::shmctl(id, IPC_STAT, &ds) != 0 || ds.shm_nattch != 1 || ds.shm_segsz != 3 * kPage) return 6;
  if (ds.shm_cpid != ::getpid() || ds.shm_perm.uid != ::geteuid()) return 7;
  if (::shmctl(id, IPC_RMID, nullptr) != 0 || nattch(id) != 1) return 8;
  if (::shmget(kKey, 0, 0) != -1 || errno != ENOENT) return 9;
  if (::shmdt(ours) != 0) return 10;
  if (::shmdt(ours) != -1 || errno != EINVAL) return 11;
  if (::shmctl(id, IPC_STAT, &ds) != -1 || errno != EINVAL) return 12;
  return 0;
}

}  // namespace shmvisor
