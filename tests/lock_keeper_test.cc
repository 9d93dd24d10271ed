// LockKeeper, with renewals that count.
#include "supervisor/memory/lock_keeper.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <memory>

namespace shmvisor {
namespace {

constexpr std::chrono::milliseconds kOften(1);

template <typename Condition>
bool comes_true(Condition condition) {
  for (int looks = 0; looks < 10'000 && !condition(); ++looks) ::usleep(1000);
  return condition();
}

/// A renewal's own, as it may outlive the test.
using Count = std::shared_ptr<std::atomic<int>>;
Count count() { return std::make_shared<std::atomic<int>>(0); }

TEST(LockKeeperTest, AsksAgainUntilNothingIsLeftToCome) {
  const Count asked = count();
  const Count others = count();
  LockKeeper keeper(kOften);
  int owners[2];
  keeper.add(&owners[0], [asked] { return ++*asked < 3; });
  keeper.add(&owners[1], [others] { return ++*others > 0; });
  EXPECT_TRUE(comes_true([&] { return *asked == 3; }));
  const int then = *others;
  EXPECT_TRUE(comes_true([&] { return *others > then + 3; })) << "the other is asked on";
  EXPECT_EQ(*asked, 3);
  keeper.remove(&owners[0]);
}

TEST(LockKeeperTest, NotOnceItIsRemoved) {
  const Count asked = count();
  const Count others = count();
  LockKeeper keeper(kOften);
  int owners[2];
  keeper.add(&owners[0], [asked] { return ++*asked > 0; });
  keeper.add(&owners[1], [others] { return ++*others > 0; });
  EXPECT_TRUE(comes_true([&] { return *asked != 0; }));
  keeper.remove(&owners[0]);
  // One renewal at a time: by then the last one of what was removed is over.
  const auto others_go_on = [&, then = others->load()] { return *others > then + 3; };
  ASSERT_TRUE(comes_true(others_go_on));
  const int then = *asked;
  ::usleep(20'000);
  EXPECT_EQ(*asked, then);
  keeper.add(&owners[0], [asked] { return ++*asked > 0; });
  EXPECT_TRUE(comes_true([&] { return *asked > then; })) << "added anew";
}

TEST(LockKeeperTest, EndsAtOnce) {
  LockKeeper keeper(std::chrono::hours(1));
  int owner = 0;
  keeper.add(&owner, [] { return true; });
}

// Neither whoever removes, its own or another, nor the end of the keeper.
TEST(LockKeeperTest, NobodyWaitsForARenewal) {
  std::promise<void> open;
  const auto begun = count();
  const auto ended = count();
  {
    LockKeeper keeper(kOften);
    int owners[2];
    keeper.add(&owners[0], [opened = open.get_future().share(), begun, ended] {
      ++*begun;
      opened.wait();
      return ++*ended == 0;
    });
    ASSERT_TRUE(comes_true([&] { return *begun == 1; }));
    keeper.add(&owners[1], [] { return true; });
    keeper.remove(&owners[1]);
    keeper.remove(&owners[0]);
  }
  EXPECT_EQ(*ended, 0);
  open.set_value();
  EXPECT_TRUE(comes_true([&] { return *ended == 1; }));
}

}  // namespace
}  // namespace shmvisor
