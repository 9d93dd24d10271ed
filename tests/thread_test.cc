#include "supervisor/kernel/thread.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <array>
#include <future>

namespace shmvisor {
namespace {

constexpr std::size_t kStackBytes = std::size_t{64} * 1024;

struct Seen {
  std::size_t stack_bytes = 0;
  int cpus = 0;
  bool blocks_all = false;
};

void* look(void* promise) {
  Seen seen;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (::sched_getaffinity(0, sizeof(cpus), &cpus) == 0) seen.cpus = CPU_COUNT(&cpus);
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  seen.blocks_all = sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGALRM) == 1;
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
    (void)pthread_attr_getstacksize(&attributes, &seen.stack_bytes);
    pthread_attr_destroy(&attributes);
  }
  static_cast<std::promise<Seen>*>(promise)->set_value(seen);
  return nullptr;
}

// A thread begins with the CPUs of the one that made it, which may be pinned while it traces.
TEST(DetachedThreadTest, IsNotPinnedWithTheThreadThatMakesIt) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof(before), &before), 0);
  if (CPU_COUNT(&before) < 2) GTEST_SKIP() << "there is one CPU alone";
  cpu_set_t here;
  CPU_ZERO(&here);
  CPU_SET(static_cast<unsigned>(::sched_getcpu()), &here);
  ASSERT_EQ(::sched_setaffinity(0, sizeof(here), &here), 0);
  std::promise<Seen> promise;
  EXPECT_TRUE(start_detached(look, &promise, kStackBytes));
  const Seen seen = promise.get_future().get();
  EXPECT_EQ(::sched_setaffinity(0, sizeof(before), &before), 0);
  EXPECT_EQ(seen.cpus, CPU_COUNT(&before));
}

TEST(DetachedThreadTest, SignalsAreForOthers) {
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  std::promise<Seen> promise;
  ASSERT_TRUE(start_detached(look, &promise, kStackBytes));
  EXPECT_TRUE(promise.get_future().get().blocks_all);
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  EXPECT_EQ(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
}

// The library's own size is 8 MiB. 64 KiB are too little on 64-bit Arm, 1 KiB anywhere; the stack
// of a thread that has ended may be used again where it is larger.
TEST(DetachedThreadTest, ItsStackIsSmallAlsoWhereItIsAskedForTooLittle) {
  constexpr std::size_t kLargestBytes = std::size_t{1} << 20;
  for (const std::size_t asked : {std::size_t{1024}, kStackBytes}) {
    std::promise<Seen> promise;
    ASSERT_TRUE(start_detached(look, &promise, asked));
    const std::size_t got = promise.get_future().get().stack_bytes;
    EXPECT_GE(got, asked);
    EXPECT_LE(got, kLargestBytes);
  }
}

TEST(DetachedThreadTest, WhereNoneCanBeHad) {
  std::promise<Seen> promise;
  EXPECT_FALSE(start_detached(look, &promise, ~std::size_t{0} / 2 / 4096 * 4096));
}

}  // namespace
}  // namespace shmvisor
