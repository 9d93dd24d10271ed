// LockKeeper, with renewals that count.
#include "supervisor/memory/lock_keeper.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>

namespace shmvisor {
namespace {

constexpr std::chrono::milliseconds kOften(1);

template <typename Condition>
bool comes_true(Condition condition) {
  for (int looks = 0; looks < 10'000 && !condition(); ++looks) ::usleep(1000);
  return condition();
}

TEST(LockKeeperTest, AsksAgainUntilNothingIsLeftToCome) {
  std::atomic<int> asked{0};
  std::atomic<int> others{0};
  LockKeeper keeper(kOften);
  int owners[2];
  keeper.add(&owners[0], [&] { return ++asked < 3; });
  keeper.add(&owners[1], [&] { return ++others > 0; });
  EXPECT_TRUE(comes_true([&] { return asked == 3; }));
  const int then = others;
  EXPECT_TRUE(comes_true([&] { return others > then + 3; })) << "the other is asked on";
  EXPECT_EQ(asked, 3);
  keeper.remove(&owners[0]);
}

TEST(LockKeeperTest, NotOnceItIsRemoved) {
  std::atomic<int> asked{0};
  LockKeeper keeper(kOften);
  int owner = 0;
  keeper.add(&owner, [&] { return ++asked > 0; });
  EXPECT_TRUE(comes_true([&] { return asked != 0; }));
  keeper.remove(&owner);
  const int then = asked;
  ::usleep(20'000);
  EXPECT_EQ(asked, then);
  keeper.add(&owner, [&] { return ++asked > 0; });
  EXPECT_TRUE(comes_true([&] { return asked > then; })) << "added anew";
}

TEST(LockKeeperTest, EndsAtOnce) {
  LockKeeper keeper(std::chrono::hours(1));
  int owner = 0;
  keeper.add(&owner, [] { return true; });
}

}  // namespace
}  // namespace shmvisor
