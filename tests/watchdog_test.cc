// Watchdog: it looks when asked to, again where it wants to, and not at all otherwise.
#include "supervisor/serve/watchdog.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "tests/no_descriptors.h"

namespace shmvisor {
namespace {

/// Looks, counted; again as often as it was told.
class WatchdogTest : public ::testing::Test {
 protected:
  std::chrono::milliseconds look() {
    const std::lock_guard lock(mutex_);
    ++looks_;
    changed_.notify_all();
    return looks_ < wanted_looks_ ? again_ : std::chrono::milliseconds(0);
  }
  /// Within ten seconds.
  bool wait_for_looks(int looks) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return looks_ >= looks; });
  }
  int looks() {
    const std::lock_guard lock(mutex_);
    return looks_;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int looks_ = 0;
  int wanted_looks_ = 0;
  std::chrono::milliseconds again_ = Watchdog::kLater;
  Watchdog watchdog_{[this] { return look(); }};
};

TEST_F(WatchdogTest, EveryQuestionIsFollowedByALook) {
  ASSERT_TRUE(watchdog_.start());
  for (int round = 1; round <= 20; ++round) {
    const int before = looks();
    watchdog_.ask();
    ASSERT_TRUE(wait_for_looks(before + 1)) << round;
  }
}

TEST_F(WatchdogTest, ItNeedsNoDescriptor) {
  const NoDescriptors none;
  wanted_looks_ = 5;
  ASSERT_TRUE(watchdog_.start());
  for (int round = 1; round <= 20; ++round) {
    const int before = looks();
    watchdog_.ask();
    ASSERT_TRUE(wait_for_looks(before + 1)) << round;
  }
  watchdog_.stop();
}

TEST_F(WatchdogTest, LooksAgainWhileThereIsSomethingToSee) {
  wanted_looks_ = 5;
  ASSERT_TRUE(watchdog_.start());
  watchdog_.ask();
  EXPECT_TRUE(wait_for_looks(5));
}

TEST_F(WatchdogTest, WhoeverAsksIsHeardBeforeALookThatIsFarAway) {
  wanted_looks_ = 1000;
  again_ = std::chrono::hours(1);
  ASSERT_TRUE(watchdog_.start());
  for (int round = 1; round <= 100; ++round) {
    const int before = looks();
    watchdog_.ask();
    ASSERT_TRUE(wait_for_looks(before + 1)) << round;
  }
}

TEST_F(WatchdogTest, NothingIsSeenAfterItStopped) {
  ASSERT_TRUE(watchdog_.start());
  watchdog_.stop();
  const int before = looks();
  watchdog_.stop();
  EXPECT_EQ(looks(), before);
  EXPECT_EQ(looks(), 0) << "nobody asked";
}

TEST_F(WatchdogTest, CanBeStartedAgain) {
  ASSERT_TRUE(watchdog_.start());
  watchdog_.ask();
  watchdog_.stop();
  ASSERT_TRUE(watchdog_.start());
  ASSERT_TRUE(watchdog_.start()) << "started already";
  const int before = looks();
  watchdog_.ask();
  EXPECT_TRUE(wait_for_looks(before + 1));
}

}  // namespace
}  // namespace shmvisor
