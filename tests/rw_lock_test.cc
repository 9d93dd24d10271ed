#include "emulation/ipc/rw_lock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

namespace shmvisor {
namespace {

/// Waits for what is certain to happen; the test's own time limit is the bound.
template <typename Condition>
void wait_for(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

TEST(RwLockTest, ReadersShare) {
  RwLock lock;
  const std::shared_lock first(lock);
  std::atomic<bool> second_in = false;
  std::thread second([&] {
    const std::shared_lock held(lock);
    second_in = true;
  });
  second.join();
  EXPECT_TRUE(second_in);
}

TEST(RwLockTest, WritersExclude) {
  RwLock lock;
  long counter = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int count = 0; count < 10000; ++count) {
        const std::unique_lock held(lock);
        ++counter;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter, 40000);
}

TEST(RwLockTest, AReaderSeesNoHalfDoneChange) {
  RwLock lock;
  long one = 0;
  long two = 0;
  std::atomic<bool> ready = false;
  std::atomic<bool> torn = false;
  std::thread reader([&] {
    for (int count = 0; count < 20000; ++count) {
      const std::shared_lock held(lock);
      if (one != two) torn = true;
      ready = true;
    }
  });
  wait_for([&] { return ready.load(); });
  for (int count = 0; count < 20000; ++count) {
    const std::unique_lock held(lock);
    ++one;
    ++two;
  }
  reader.join();
  EXPECT_FALSE(torn);
}

// What std::shared_mutex does not promise: readers that never leave a gap do not starve a writer.
TEST(RwLockTest, AWaitingWriterGoesBeforeNewReaders) {
  RwLock lock;
  std::atomic<bool> written = false;
  std::atomic<int> rounds = 0;
  std::vector<std::thread> readers;
  // Two readers that hand over to each other so that the lock is never free of readers.
  std::atomic<int> holding = 0;
  for (int reader = 0; reader < 2; ++reader) {
    readers.emplace_back([&] {
      while (!written) {
        const std::shared_lock held(lock);
        ++holding;
        const int before = rounds++;
        // Held until the other one is in as well, or a writer keeps it out.
        for (int spin = 0; spin < 1000 && holding < 2 && rounds == before + 1; ++spin) {
          std::this_thread::yield();
        }
        --holding;
      }
    });
  }
  wait_for([&] { return rounds > 4; });
  {
    const std::unique_lock held(lock);
    EXPECT_EQ(holding, 0);
    written = true;
  }
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace shmvisor
