// Whose IPC namespaces are covered, and how many, without any being made.
#include "supervisor/procfiles/cover_shares.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <numeric>
#include <thread>

#include "supervisor/procfiles/known_covers.h"

namespace shmvisor {
namespace {

using std::chrono::milliseconds;
using Mounts = std::vector<long>;

class CoverSharesTest : public ::testing::Test {
 protected:
  /// Those of which nobody told that they are gone, as numbers.
  std::size_t known(const CoverShares::Account& account) {
    const auto covers = shares_.ask(account);
    return covers ? covers->size() : 0;
  }
  void add(const CoverShares::Account& account, long first) {
    std::array<long, 5> mounts{};
    std::iota(mounts.begin(), mounts.end(), first);
    shares_.added(account, mounts);
  }

  static constexpr CoverShares::Account kAttacker{7, 65534};
  static constexpr CoverShares::Account kElsewhere{8, 65534};
  static constexpr CoverShares::Account kOther{7, 65533};
  static constexpr CoverShares::Account kRoot{7, 0};

  CoverShares shares_;
};

TEST_F(CoverSharesTest, EachUserHasItsOwnBound) {
  constexpr std::size_t kMost = CoverShares::kMostOfUser;
  EXPECT_TRUE(shares_.bounds_of(kAttacker).may_add(kMost - 1, kMost));
  EXPECT_FALSE(shares_.bounds_of(kAttacker).may_add(kMost, kMost));
  EXPECT_TRUE(shares_.bounds_of(kOther).may_add(0, kMost));
  EXPECT_TRUE(shares_.bounds_of(kRoot).may_add(kMost, kMost));
  EXPECT_TRUE(shares_.bounds_of({7, ::geteuid()}).may_add(kMost, kMost)) << "our own user";
}

TEST_F(CoverSharesTest, ManyUsersLeaveAHalfToRoot) {
  EXPECT_TRUE(shares_.bounds_of(kOther).may_add(0, CoverShares::kMostForOthers - 1));
  EXPECT_FALSE(shares_.bounds_of(kOther).may_add(0, CoverShares::kMostForOthers));
  EXPECT_TRUE(shares_.bounds_of(kRoot).may_add(0, CoverShares::kMostForOthers));
  EXPECT_FALSE(shares_.bounds_of(kRoot).may_add(0, CoverShares::kMost));
}

TEST_F(CoverSharesTest, CoversAreKnownByUserAndMountNamespace) {
  add(kAttacker, 100);
  add(kAttacker, 105);
  add(kElsewhere, 110);
  add(kOther, 115);
  EXPECT_EQ(shares_.ask(kAttacker), (Mounts{100, 105}));
  EXPECT_EQ(shares_.ask(kElsewhere), Mounts{110});
  EXPECT_EQ(shares_.ask(kOther), Mounts{115});
  shares_.gone(kAttacker, 110);
  EXPECT_EQ(known(kElsewhere), 1U) << "that is another mount namespace's";
  shares_.gone(kAttacker, 100);
  EXPECT_EQ(shares_.ask(kAttacker), Mounts{105});
}

// The kernel gives a mount's id to the next mount.
TEST_F(CoverSharesTest, WhatHadTheIdsOfANewCoverIsGone) {
  add(kAttacker, 100);
  add(kOther, 97);
  EXPECT_EQ(known(kAttacker), 0U);
  add(kRoot, 93);
  EXPECT_EQ(known(kOther), 0U);
  EXPECT_EQ(known(kRoot), 0U) << "root's are not counted";
}

TEST_F(CoverSharesTest, ACoverOfNoMountsIsNone) {
  shares_.added(kAttacker, {});
  EXPECT_EQ(known(kAttacker), 0U);
}

TEST_F(CoverSharesTest, WhoIsRefusedIsNotLookedAtForAWhile) {
  const auto now = CoverShares::Clock::now();
  add(kAttacker, 100);
  shares_.refused(kAttacker, now);
  EXPECT_EQ(shares_.ask(kAttacker, now), std::nullopt);
  EXPECT_NE(shares_.ask(kOther, now), std::nullopt);
  EXPECT_NE(shares_.ask(kElsewhere, now), std::nullopt);
  const auto later = now + CoverShares::kRefusedFor;
  EXPECT_EQ(shares_.ask(kAttacker, later - milliseconds(1)), std::nullopt);
  EXPECT_EQ(shares_.ask(kAttacker, later), Mounts{100});
}

// Whoever makes mount namespaces without end does not make us remember them all.
TEST_F(CoverSharesTest, TheOldestAreForgotten) {
  for (std::size_t i = 0; i <= CoverShares::kMostRemembered; ++i) {
    add({i, 65534}, static_cast<long>(1000 + 5 * i));
  }
  EXPECT_EQ(known({0, 65534}), 0U);
  EXPECT_EQ(known({1, 65534}), 1U);
  EXPECT_EQ(known({CoverShares::kMostRemembered, 65534}), 1U);
}

/// As the kernel numbers them.
std::optional<KnownCovers::Place> place_of_this_thread() {
  return KnownCovers::place_of(UniqueFd(::open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC)),
                               UniqueFd(::open("/proc/thread-self/ns/ipc", O_RDONLY | O_CLOEXEC)));
}

TEST(KnownCoversTest, ANamespaceThatEndedIsNeverTakenForAnother) {
  if (!place_of_this_thread()) GTEST_SKIP() << "no NS_GET_ID";
  EXPECT_EQ(place_of_this_thread(), place_of_this_thread());
  KnownCovers known;
  known.add(*place_of_this_thread());
  EXPECT_TRUE(known.has(*place_of_this_thread()));
  bool may_make_any = true;
  std::thread([&] {
    // Each ends when the next one begins, which gets its inode.
    for (int i = 0; i < 50 && may_make_any; ++i) {
      may_make_any = ::unshare(CLONE_NEWIPC) == 0;
      if (!may_make_any) break;
      const auto place = place_of_this_thread();
      ASSERT_TRUE(place);
      EXPECT_FALSE(known.has(*place));
      known.add(*place);
      EXPECT_TRUE(known.has(*place));
    }
  }).join();
  if (!may_make_any) GTEST_SKIP() << "no right to make namespaces";
  EXPECT_TRUE(known.has(*place_of_this_thread()));
}

TEST(KnownCoversTest, TheOldestIsForgottenFirst) {
  KnownCovers known;
  for (std::uint64_t ipc = 0; ipc <= KnownCovers::kMost; ++ipc) known.add({1, ipc});
  EXPECT_FALSE(known.has({1, 0}));
  EXPECT_TRUE(known.has({1, 1}));
  EXPECT_TRUE(known.has({1, KnownCovers::kMost}));
  EXPECT_FALSE(known.has({2, 1}));
}

}  // namespace
}  // namespace shmvisor
