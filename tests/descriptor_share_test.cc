// Who gets how many descriptors, without any being made.
#include "supervisor/process/descriptor_share.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <vector>

namespace shmvisor {
namespace {

class DescriptorShareTest : public ::testing::Test {
 protected:
  /// Less 64 there are 100.
  static constexpr rlim_t kLimit = 164;

  DescriptorShareTest() { ::getrlimit(RLIMIT_NOFILE, &before_); }
  ~DescriptorShareTest() override { ::setrlimit(RLIMIT_NOFILE, &before_); }
  void SetUp() override {
    if (before_.rlim_max < kLimit) GTEST_SKIP() << "RLIMIT_NOFILE is less than " << kLimit;
    const rlimit limit{kLimit, before_.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  }

  static std::vector<DescriptorShare::Part> all_of(DescriptorShare& share) {
    std::vector<DescriptorShare::Part> parts;
    while (auto part = share.take()) parts.push_back(std::move(*part));
    return parts;
  }

 private:
  rlimit before_{};
};

TEST_F(DescriptorShareTest, WhoTakesAllLeavesAHalf) {
  DescriptorPool pool;
  DescriptorShare first(pool);
  DescriptorShare second(pool);
  DescriptorShare third(pool);
  auto parts = all_of(first);
  EXPECT_EQ(parts.size(), 50U);
  EXPECT_EQ(all_of(second).size(), 25U) << "given back at once";
  const auto kept = all_of(second);
  EXPECT_EQ(kept.size(), 25U);
  EXPECT_EQ(all_of(third).size(), 13U);
  EXPECT_FALSE(first.take().has_value());
  parts.clear();
  EXPECT_EQ(all_of(first).size(), 38U);
}

TEST_F(DescriptorShareTest, WhatItHasAnywayCounts) {
  DescriptorPool pool;
  DescriptorShare one(pool);
  DescriptorShare other(pool);
  one.add(60);
  EXPECT_FALSE(one.take().has_value());
  EXPECT_EQ(all_of(other).size(), 20U);
  one.add(-60);
  EXPECT_EQ(all_of(one).size(), 50U);
}

}  // namespace
}  // namespace shmvisor
