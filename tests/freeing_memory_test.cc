#include "emulation/shm/freeing_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace shmvisor {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

TEST(FreeingMemory, WhoAsksWaitsForThoseThatBeganBefore) {
  const auto freeing = std::make_shared<FreeingMemory>(std::chrono::minutes(1));
  EXPECT_FALSE(freeing->any());
  freeing->wait_for_earlier();
  auto before = freeing->begin();
  EXPECT_TRUE(freeing->any());
  std::atomic<bool> waited = false;
  std::thread asker([&] {
    freeing->wait_for_earlier();
    waited = true;
  });
  ::usleep(50000);
  const auto later = freeing->begin();
  EXPECT_FALSE(waited);
  before = {};
  asker.join();
  EXPECT_TRUE(freeing->any());
}

// Somebody holds it up: a write(2) that never ends.
TEST(FreeingMemory, NobodyWaitsForOneThatIsKept) {
  const auto freeing = std::make_shared<FreeingMemory>(milliseconds(50));
  const auto kept = freeing->begin();
  freeing->wait_for_earlier();
  EXPECT_FALSE(freeing->any());
  const auto began = Clock::now();
  for (int i = 0; i < 1000; ++i) freeing->wait_for_earlier();
  EXPECT_LT(Clock::now() - began, std::chrono::seconds(25)) << "half of what waiting takes";
  auto another = freeing->begin();
  EXPECT_TRUE(freeing->any());
  another = {};
  EXPECT_FALSE(freeing->any());
}

TEST(FreeingMemory, BesideOneThatIsKeptNobodyWaitsLong) {
  const auto freeing = std::make_shared<FreeingMemory>(std::chrono::seconds(2));
  const auto kept = freeing->begin();
  freeing->wait_for_earlier();
  const auto began = Clock::now();
  for (int i = 0; i < 5; ++i) {
    const auto another = freeing->begin();
    freeing->wait_for_earlier();
  }
  EXPECT_LT(Clock::now() - began, std::chrono::seconds(8)) << "each its time would be ten";
}

}  // namespace
}  // namespace shmvisor
