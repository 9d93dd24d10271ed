// What waits for a process that is not ours ends a debug build where a lock is held.
#include "policy/base/held_locks.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <type_traits>

#include "emulation/ipc/rw_lock.h"
#include "policy/base/mutex.h"
#include "supervisor/attaches/memory_map.h"
#include "supervisor/inject/tracee.h"
#include "supervisor/kernel/poll_files.h"
#include "supervisor/notify/listener.h"
#include "supervisor/procfs/proc_file.h"
#include "supervisor/tasks/losable_threads.h"

namespace shmvisor {
namespace {

using std::chrono::milliseconds;

#ifdef NDEBUG

TEST(HeldLocksTest, AreNotRecordedInThisBuild) {
  Mutex mutex;
  const MutexLock lock(mutex);
  HeldLocks::assert_may_wait();
  EXPECT_TRUE(std::is_empty_v<CodePlace>);
}

#else

constexpr const char* kHeld = "waits, with a lock held that .*held_locks_test.cc";

class HeldLocksTest : public ::testing::Test {
 protected:
  /// Other tests' threads are about where the tests of several files are one program.
  HeldLocksTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  Mutex mutex_;
};

TEST_F(HeldLocksTest, NoneIsHeldBeforeAndAfterwards) {
  HeldLocks::assert_may_wait();
  {
    MutexLock lock(mutex_);
    lock.unlock();
    HeldLocks::assert_may_wait();
    lock.lock();
  }
  ASSERT_TRUE(mutex_.try_lock());
  mutex_.unlock();
  HeldLocks::assert_may_wait();
}

TEST_F(HeldLocksTest, AreTheThreadsOwn) {
  const MutexLock lock(mutex_);
  std::thread([] { HeldLocks::assert_may_wait(); }).join();
}

TEST_F(HeldLocksTest, EachKindOfLockIsRecorded) {
  EXPECT_DEATH(
      {
        const MutexLock lock(mutex_);
        HeldLocks::assert_may_wait();
      },
      kHeld);
  EXPECT_DEATH(
      {
        if (mutex_.try_lock()) HeldLocks::assert_may_wait();
      },
      kHeld);
  RwLock registry;
  EXPECT_DEATH(
      {
        const ReadLock lock(registry);
        HeldLocks::assert_may_wait();
      },
      kHeld);
  EXPECT_DEATH(
      {
        const WriteLock lock(registry);
        HeldLocks::assert_may_wait();
      },
      kHeld);
}

TEST_F(HeldLocksTest, OneThatIsLetGoInAnotherOrderIsForgotten) {
  EXPECT_DEATH(
      {
        Mutex second;
        mutex_.lock();
        second.lock();
        mutex_.unlock();
        HeldLocks::assert_may_wait();
      },
      kHeld);
  Mutex second;
  mutex_.lock();
  second.lock();
  mutex_.unlock();
  second.unlock();
  HeldLocks::assert_may_wait();
}

TEST_F(HeldLocksTest, OneThatIsHeldOnPurposeIsNotRecorded) {
  MutexHeldInWaits on_purpose;
  const LockHeldInWaits lock(on_purpose);
  HeldLocks::assert_may_wait();
}

TEST_F(HeldLocksTest, AConditionIsWaitedForWithItsOwnAlone) {
  Condition condition;
  Mutex other;
  {
    const MutexLock lock(mutex_);
    EXPECT_FALSE(condition.wait_until(mutex_, std::chrono::steady_clock::now()));
  }
  EXPECT_DEATH(
      {
        const MutexLock first(other);
        const MutexLock lock(mutex_);
        (void)condition.wait_until(mutex_, std::chrono::steady_clock::now());
      },
      kHeld);
}

// One wait of each kind: each of them asserts it, whether it waits this time or not.
TEST_F(HeldLocksTest, WaitsAssertThatNoneIsHeld) {
  KernelFeatures features;
  EXPECT_DEATH(
      {
        const MutexLock lock(mutex_);
        (void)open_proc_file(getpid(), "maps");
      },
      kHeld);
  EXPECT_DEATH(
      {
        const MutexLock lock(mutex_);
        (void)open_proc_file(getpid(), "ns/ipc");
      },
      kHeld);
  EXPECT_DEATH(
      {
        auto map = MemoryMap::open(getpid(), features);
        const MutexLock lock(mutex_);
        if (map) (void)map->area_above(0, Areas::kAll);
      },
      kHeld);
  EXPECT_DEATH(
      {
        const MutexLock lock(mutex_);
        (void)numbered_entries("/proc/self/task");
      },
      kHeld);
  EXPECT_DEATH(
      {
        const MutexLock lock(mutex_);
        (void)Tracee::seize(getppid(), 0, milliseconds(1));
      },
      kHeld);
  EXPECT_DEATH(
      {
        const MutexLock lock(mutex_);
        (void)reap_within_bound(getppid());
      },
      kHeld);
  EXPECT_DEATH(
      {
        Listener listener(UniqueFd(), WaitKind::kKillable);
        const MutexLock lock(mutex_);
        (void)listener.receive();
      },
      kHeld);
  EXPECT_DEATH(
      {
        Listener listener(UniqueFd(), WaitKind::kKillable);
        const MutexLock lock(mutex_);
        (void)listener.add_fd(0, 0);
      },
      kHeld);
  EXPECT_DEATH(
      {
        const MutexLock lock(mutex_);
        (void)poll_files({}, milliseconds(1));
      },
      kHeld);
  EXPECT_DEATH(
      {
        const MutexLock lock(mutex_);
        (void)LosableThreads::all().run([] {}, milliseconds(1));
      },
      kHeld);
}

// What waits for nobody may be done with one held.
TEST_F(HeldLocksTest, ALookDoesNot) {
  const MutexLock lock(mutex_);
  EXPECT_TRUE(read_proc_file(getpid(), "status"));
  EXPECT_EQ(poll_files({}, milliseconds(0)), 0);
  EXPECT_TRUE(events_now(STDIN_FILENO, POLLIN).has_value());
}

#endif

}  // namespace
}  // namespace shmvisor
