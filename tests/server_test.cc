// Server, with the real thing behind it: programs that call shmget and the others.
#include "supervisor/serve/server.h"

#include <fcntl.h>
#include <sched.h>
#include <spdlog/spdlog.h>
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

#include "supervisor/inject/cpu_pin.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/memory/machine.h"
#include "supervisor/scope/descendant_scope.h"
#include "supervisor/tasks/losable_threads.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

constexpr key_t kKey = 0x5e12;
constexpr std::size_t kPage = 4096;
constexpr const char* kLookForKey = "SHMVISOR_TEST_LOOK_FOR_KEY";

/// This program, executed by a test for the sake of the exec: says whether the key exists.
__attribute__((constructor)) void look_for_key() {
  if (std::getenv(kLookForKey) == nullptr) return;
  ::_exit(::shmget(kKey, 0, 0) >= 0 ? 0 : errno);
}

class ServerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    spdlog::set_level(spdlog::level::off);
    KickTimer::install_handler(nullptr);
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    LosableThreads::all().keep_reserve();  // which the first server would make otherwise
  }

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
    std::vector<pid_t> processes() const override {
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
    Supervisor(Listener& listener, KernelFeatures& features, SlowCount& slow_count)
        : scope(features, slow_count),
          resources(features),
          machine(resources, scope),
          namespaces(machine, Limits(), NamespaceIds::ours().ipc),
          ipc_namespaces(namespaces, scope),
          call_page(CallPage::create(features)),
          server(listener, ipc_namespaces, features, {.call_page = call_page.get()}) {}

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
    auto supervisor = std::make_unique<Supervisor>(child->listener(), features_, *slow_count_);
    {
      std::optional<CpuPin> pin;
      if (start_pinned_) pin.emplace();
      EXPECT_TRUE(supervisor->server.start());
    }
    meanwhile(*child);
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
  SharedPage<SlowCount> slow_count_;
  bool somebody_elses_filter_ = false;
  bool start_pinned_ = false;
  int segments_left_ = 0;
  WaitKind wait_kind_ = WaitKind::kUnknown;
};

char* attach(int id, int flags = 0) { return static_cast<char*>(::shmat(id, nullptr, flags)); }
std::uint64_t nattch(int id) {
  struct shmid_ds ds {};
  return ::shmctl(id, IPC_STAT, &ds) == 0 ? ds.shm_nattch : 999;
}

/// The whole life of a segment, with a child that shares it.
int life_of_a_segment() {
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

/// As before Linux 6.11, where NOTIF_RECV does not tell that no supervised task is left.
TEST_F(ServerTest, ItEndsAtOnceThoughItsThreadsWaitForCalls) {
  using Clock = std::chrono::steady_clock;
  SupervisedChild child([] { return ::pause(); });
  ASSERT_EQ(child.trouble(), "");
  Supervisor supervisor(child.listener(), features_, *slow_count_);
  ASSERT_TRUE(supervisor.server.start());
  ::usleep(50000);  // until one does
  const auto begun = Clock::now();
  EXPECT_TRUE(supervisor.server.wait_for_end());
  EXPECT_LT(Clock::now() - begun, std::chrono::milliseconds(500));
}

TEST_F(ServerTest, TheLifeOfASegment) {
  EXPECT_EQ(serve(life_of_a_segment), 0);
  EXPECT_EQ(segments_left_, 0);
}

/// The same with each optional feature of the kernel switched off.
class ServerWithoutTest : public ServerTest, public ::testing::WithParamInterface<KernelFeature> {};

TEST_P(ServerWithoutTest, TheLifeOfASegment) {
  features_.mark_absent(GetParam());
  EXPECT_EQ(serve(life_of_a_segment), 0);
  EXPECT_EQ(segments_left_, 0);
}

INSTANTIATE_TEST_SUITE_P(EachFeature, ServerWithoutTest,
                         ::testing::Values(KernelFeature::kWaitKillableRecv,
                                           KernelFeature::kSyncWakeUp, KernelFeature::kPidfdThread,
                                           KernelFeature::kPidfdGetInfo,
                                           KernelFeature::kProcmapQuery, KernelFeature::kNoexecSeal,
                                           KernelFeature::kCachestat, KernelFeature::kKcmp,
                                           KernelFeature::kInotify, KernelFeature::kCallPage),
                         [](const auto& test) {
                           std::string name(KernelFeatures::name(test.param));
                           std::erase(name, '-');
                           return name;
                         });

/// While signals come, whose handler lets calls be repeated: bursts, each followed by a calm in
/// which also a loaded machine can answer.
int lives_in_a_storm() {
  static const auto next_signal = [](int) {
    static int signals = 0;
    const itimerval soon{{0, 0}, {0, ++signals % 40 == 0 ? 200'000 : 300 + signals % 7 * 100}};
    ::setitimer(ITIMER_REAL, &soon, nullptr);
  };
  struct sigaction action {};
  action.sa_handler = next_signal;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGALRM, &action, nullptr);
  next_signal(SIGALRM);
  for (int round = 0; round < 100; ++round) {
    const int id = ::shmget(kKey, kPage, IPC_CREAT | IPC_EXCL | 0600);
    if (id < 0) return errno == EEXIST ? 1 : 2;
    char* const at = attach(id);
    if (at == MAP_FAILED) return 3;
    if (nattch(id) != 1) return 4;
    if (::shmdt(at) != 0) return 5;
    if (::shmctl(id, IPC_RMID, nullptr) != 0) return 6;
  }
  return 0;
}

/// How callers wait for their answers, and whether we know it beforehand.
struct Waiting {
  const char* name;
  bool killable;
  bool known;
};

class ServerWaitingTest : public ServerTest, public ::testing::WithParamInterface<Waiting> {};

TEST_P(ServerWaitingTest, NoCallIsCarriedOutTwice) {
  if (!GetParam().killable) features_.mark_absent(KernelFeature::kWaitKillableRecv);
  somebody_elses_filter_ = !GetParam().known;
  EXPECT_EQ(serve(lives_in_a_storm), 0);
  EXPECT_EQ(segments_left_, 0);
  EXPECT_EQ(wait_kind_, GetParam().killable ? WaitKind::kKillable : WaitKind::kInterruptible);
}

INSTANTIATE_TEST_SUITE_P(Each, ServerWaitingTest,
                         ::testing::Values(Waiting{"killably", true, true},
                                           Waiting{"killably_as_we_learn", true, false},
                                           Waiting{"interruptibly", false, true},
                                           Waiting{"interruptibly_as_we_learn", false, false}),
                         [](const auto& test) { return test.param.name; });

TEST_F(ServerTest, PointersThatAreNone) {
  EXPECT_EQ(serve([] {
              const int id = ::shmget(IPC_PRIVATE, kPage, 0600);
              auto* const nowhere = reinterpret_cast<struct shmid_ds*>(8);
              if (::shmctl(id, IPC_STAT, nowhere) != -1 || errno != EFAULT) return 1;
              if (::shmctl(id, IPC_SET, nowhere) != -1 || errno != EFAULT) return 2;
              void* const read_only =
                  ::mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              if (::shmctl(id, IPC_STAT, static_cast<struct shmid_ds*>(read_only)) != -1) return 3;
              if (errno != EFAULT) return 4;
              // The last 56 bytes of a page, and nothing behind it.
              char* const edge = static_cast<char*>(::mmap(
                  nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
              ::munmap(edge + kPage, kPage);
              auto* const half = reinterpret_cast<struct shmid_ds*>(edge + kPage - 56);
              if (::shmctl(id, IPC_STAT, half) != -1 || errno != EFAULT) return 5;
              return 0;
            }),
            0);
  EXPECT_EQ(segments_left_, 1);
}

TEST_F(ServerTest, IdsOfTheCallingThread) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  EXPECT_EQ(serve([] {
              const int id = ::shmget(IPC_PRIVATE, kPage, 0640);
              if (::syscall(SYS_setresgid, 77, 77, 77) != 0) return 1;
              if (::syscall(SYS_setresuid, 66, 66, 66) != 0) return 2;
              if (attach(id, SHM_RDONLY) != MAP_FAILED || errno != EACCES) return 3;
              if (::shmctl(id, IPC_RMID, nullptr) != -1 || errno != EPERM) return 4;
              const int own = ::shmget(IPC_PRIVATE, kPage, 0600);
              struct shmid_ds ds {};
              if (::shmctl(own, IPC_STAT, &ds) != 0) return 5;
              return ds.shm_perm.uid == 66 && ds.shm_perm.cgid == 77 ? 0 : 6;
            }),
            0);
}

TEST_F(ServerTest, ManyProcessesAndThreadsAtOnce) {
  EXPECT_EQ(serve([] {
              for (int process = 0; process < 4; ++process) {
                if (::fork() != 0) continue;
                const auto work = [](std::atomic<int>& failures) {
                  for (int round = 0; round < 10; ++round) {
                    const int id = ::shmget(IPC_PRIVATE, kPage, 0600);
                    char* const at = attach(id);
                    if (at == MAP_FAILED) {
                      ++failures;
                      continue;
                    }
                    at[0] = 'x';
                    failures += ::shmctl(id, IPC_RMID, nullptr) != 0;
                    failures += ::shmdt(at) != 0;
                  }
                };
                std::atomic<int> failures = 0;
                work(failures);
                ::_exit(failures == 0 ? 0 : 1);
              }
              int failed = 0;
              int status = 0;
              while (::wait(&status) > 0) failed += status != 0;
              return failed;
            }),
            0);
  EXPECT_EQ(segments_left_, 0);
}

// A caller is killed somewhere in the middle; the others are served on, and nothing is left of it.
TEST_F(ServerTest, NobodyWaitsForWhoCountsMappings) {
  const int status = serve([this] {
    const int id = ::shmget(1, kPage, IPC_CREAT | 0600);
    if (attach(id) == nullptr) return 1;
    const pid_t other = ::fork();
    if (other == 0) {
      if (!becomes(slow_count_->begun)) return 2;
      if (::shmget(1, 0, 0) != id || ::shmget(2, kPage, IPC_CREAT | 0600) < 0) return 3;
      char* const address = attach(id);
      if (address == nullptr || ::shmdt(address) != 0) return 4;
      slow_count_->others_answered = true;
      return 0;
    }
    slow_count_->wanted = true;
    if (nattch(id) != 1 && nattch(id) != 2)
      return 5;  // as long as the other is there, it has it too
    int ended = 0;
    return ::waitpid(other, &ended, 0) == other && ended == 0 ? 0 : 6;
  });
  EXPECT_EQ(status, 0);
}

// A thread that serves keeps to one CPU meanwhile; one that it makes then does not.
TEST_F(ServerTest, NoThreadIsConfinedByTheOneThatMadeIt) {
  cpu_set_t all;
  ASSERT_EQ(::sched_getaffinity(0, sizeof(all), &all), 0);
  if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "there is but one CPU";
    // The watchdog is made by whoever starts the server; so is a thread of ThreadSanitizer's own.
#ifdef __SANITIZE_THREAD__
  constexpr int kMadeByStarter = 2;
#else
  constexpr int kMadeByStarter = 1;
#endif
  const auto count_threads = [&all](bool confined) {
    int count = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      cpu_set_t its;
      CPU_ZERO(&its);
      if (::sched_getaffinity(std::stoi(task.path().filename()), sizeof(its), &its) != 0) continue;
      if (confined != static_cast<bool>(CPU_EQUAL(&its, &all))) ++count;
    }
    return count;
  };
  // Those that count mappings live on from test to test, each where it was needed last.
  const int made_before = count_threads(true);
  start_pinned_ = true;
  const int status = serve(
      [] { return ::pause(); },
      [&](SupervisedChild& child) {
        const auto deadline = std::chrono::steady_clock::now() + kPatience;
        // Ourselves, the receiver and another.
        while ((count_threads(false) < 3 || count_threads(true) > kMadeByStarter + made_before) &&
               std::chrono::steady_clock::now() < deadline) {
          ::usleep(1000);
        }
        EXPECT_GE(count_threads(false), 3);
        EXPECT_LE(count_threads(true), kMadeByStarter + made_before);
        ::kill(child.pid(), SIGKILL);
      });
  EXPECT_EQ(status, -SIGKILL);
}

TEST_F(ServerTest, KilledInTheMiddle) {
  EXPECT_EQ(serve([] {
              for (unsigned round = 0; round < 40; ++round) {
                const pid_t pid = ::fork();
                if (pid == 0) {
                  for (;;) {
                    const int id = ::shmget(IPC_PRIVATE, kPage, 0600);
                    char* const at = attach(id);
                    ::shmctl(id, IPC_RMID, nullptr);
                    ::shmdt(at);
                  }
                }
                ::usleep(500 + round * 137 % 3000);
                ::kill(pid, SIGKILL);
                if (::waitpid(pid, nullptr, 0) != pid) return 1;
              }
              return life_of_a_segment();
            }),
            0);
  EXPECT_LE(segments_left_, 40) << "those that were created and not removed";
}

TEST_F(ServerTest, ABurstOfThreadsIsGivenBack) {
  const auto threads = [] {
    const std::filesystem::directory_iterator entries("/proc/self/task");
    return std::distance(begin(entries), end(entries));
  };
  // A sanitizer may start one of its own together with the first.
  std::thread([] {}).join();
  const auto before = threads();
  EXPECT_EQ(serve(
                [] {
                  for (int process = 0; process < 24; ++process) {
                    if (::fork() == 0)
                      ::_exit(attach(::shmget(IPC_PRIVATE, kPage, 0600)) == MAP_FAILED);
                  }
                  int failed = 0;
                  int status = 0;
                  while (::wait(&status) > 0) failed += status != 0;
                  return failed;
                },
                [&](SupervisedChild&) { EXPECT_GT(threads(), before); }),
            0);
  // A thread that has said that it ends may need a moment to be gone.
  for (int wait = 0; wait < 1000 && threads() > before; ++wait) ::usleep(1000);
  EXPECT_EQ(threads(), before);
}

TEST_F(ServerTest, EachIpcNamespaceHasItsOwn) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make an IPC namespace";
  EXPECT_EQ(serve([] {
              const int outside = ::shmget(kKey, kPage, IPC_CREAT | 0600);
              const int home = ::open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
              char* const at = attach(outside);
              if (::unshare(CLONE_NEWIPC) != 0) return 1;
              if (::shmget(kKey, 0, 0) != -1 || errno != ENOENT) return 2;
              if (::shmget(kKey, kPage, IPC_CREAT | IPC_EXCL | 0600) != 0) return 3;
              if (::shmdt(at) != 0) return 4;  // an attach of the other one
              if (::setns(home, CLONE_NEWIPC) != 0) return 5;
              if (::shmget(kKey, 0, 0) != outside) return 6;
              return nattch(outside) == 0 ? 0 : 7;
            }),
            0);
  EXPECT_EQ(segments_left_, 1);
}

// A thread with namespaces of its own execs: it takes over the leader's tid, and keeps them.
TEST_F(ServerTest, AThreadsNamespaceOutlivesItsExec) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make an IPC namespace";
  EXPECT_EQ(serve([] {
              if (::shmget(kKey, kPage, IPC_CREAT | 0600) < 0) return 100;
              // A thread that shares everything but the IPC namespace, without the C library's.
              std::thread([] {
                if (::unshare(CLONE_NEWIPC) != 0) ::_exit(101);
                ::setenv(kLookForKey, "1", 1);
                ::execl("/proc/self/exe", "server_test", nullptr);
                ::_exit(102);
              }).join();
              return 103;
            }),
            ENOENT);
}

}  // namespace
}  // namespace shmvisor
