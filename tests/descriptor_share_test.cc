// Who gets how many descriptors, without any being made.
#include "supervisor/resources/descriptor_share.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <vector>

namespace shmvisor {
namespace {

class DescriptorShareTest : public ::testing::Test {
 protected:
  using Parts = std::vector<DescriptorShare::Part>;

  static void SetUpTestSuite() { spdlog::set_level(spdlog::level::off); }

  static Parts all_of(DescriptorShare& share, uid_t user = ::geteuid()) {
    Parts parts;
    while (auto part = share.take(user)) parts.push_back(std::move(*part));
    return parts;
  }

  static constexpr uid_t kAttacker = 65534;
  static constexpr uid_t kOther = 65533;
  static constexpr uid_t kThird = 65532;

  DescriptorPool pool_{{.pool = 100}};
};

TEST_F(DescriptorShareTest, AGroupThatTakesAllLeavesAHalf) {
  DescriptorShare first(pool_);
  DescriptorShare second(pool_);
  DescriptorShare third(pool_);
  auto parts = all_of(first);
  EXPECT_EQ(parts.size(), 50U);
  EXPECT_EQ(all_of(second).size(), 25U) << "given back at once";
  const auto kept = all_of(second);
  EXPECT_EQ(kept.size(), 25U);
  EXPECT_EQ(all_of(third).size(), 13U);
  EXPECT_FALSE(first.take(::geteuid()).has_value());
  parts.clear();
  EXPECT_EQ(all_of(first).size(), 38U);
}

TEST_F(DescriptorShareTest, WhatAGroupHasAnywayCounts) {
  DescriptorShare one(pool_);
  DescriptorShare other(pool_);
  one.add(60);
  EXPECT_FALSE(one.take(::geteuid()).has_value());
  EXPECT_EQ(all_of(other).size(), 20U);
  one.add(-60);
  EXPECT_EQ(all_of(one).size(), 50U);
}

TEST_F(DescriptorShareTest, TheOnlyGroupMayHaveAllOfIt) {
  DescriptorShare only(pool_, DescriptorShare::Group::kOnly);
  EXPECT_EQ(all_of(only).size(), 100U);
  EXPECT_EQ(pool_.left(), 100);
}

TEST_F(DescriptorShareTest, AUserThatTakesAllLeavesAHalfToOthers) {
  DescriptorShare only(pool_, DescriptorShare::Group::kOnly);
  const Parts attackers = all_of(only, kAttacker);
  EXPECT_EQ(attackers.size(), 50U);
  const Parts others = all_of(only, kOther);
  EXPECT_EQ(others.size(), 25U);
  EXPECT_EQ(all_of(only, kThird).size(), 13U);
  EXPECT_EQ(all_of(only).size(), 25U) << "our own user gets what there is";
}

TEST_F(DescriptorShareTest, UsersShareWhatTheirGroupMayGet) {
  DescriptorShare first(pool_);
  DescriptorShare second(pool_);
  const Parts attackers = all_of(first, kAttacker);
  const Parts others = all_of(first, kOther);
  EXPECT_GT(others.size(), 8U);
  EXPECT_LE(attackers.size() + others.size(), 50U);
  EXPECT_GE(all_of(second, kAttacker).size(), 12U) << "another group's user of that number";
}

TEST_F(DescriptorShareTest, ARefusalSaysWhoHasHowMany) {
  DescriptorShare only(pool_, DescriptorShare::Group::kOnly);
  const Parts attackers = all_of(only, kAttacker);
  DescriptorShare::Refusal refusal;
  EXPECT_FALSE(only.take(kAttacker, 1, &refusal));
  EXPECT_EQ(refusal.of, DescriptorShare::Refusal::Of::kUser);
  EXPECT_EQ(refusal.has, 50);
  EXPECT_EQ(refusal.may_have, 50);
  EXPECT_FALSE(only.take(kOther, 30, &refusal)) << "several at once";
  EXPECT_EQ(refusal.has, 0);
}

}  // namespace
}  // namespace shmvisor
