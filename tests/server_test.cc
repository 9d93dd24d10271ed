// Server, with the real thing behind it: programs that call shmget and the others.
#include "tests/server_fixture.h"

namespace shmvisor {
namespace {

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
                                           KernelFeature::kInotify, KernelFeature::kCallPage,
                                           KernelFeature::kCallSites, KernelFeature::kLateCallSites,
                                           KernelFeature::kAddfdSend,
                                           KernelFeature::kNamespaceHandles),
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

}  // namespace
}  // namespace shmvisor
