// DescriptorPlan: arithmetic alone.
#include "supervisor/resources/descriptor_plan.h"

#include <gtest/gtest.h>

#include "supervisor/resources/map_descriptors.h"

namespace shmvisor {
namespace {

TEST(DescriptorPlanTest, EverythingTogetherIsNoMoreThanThereIs) {
  for (const std::uint64_t limit : {64U, 100U, 200U, 400U, 1024U, 4096U, 20000U, 1048576U}) {
    const auto plan = DescriptorPlan::of(limit, 12);
    EXPECT_GT(plan.pool, 0) << limit;
    EXPECT_GE(plan.calls_at_once, 3) << limit;
    EXPECT_LE(12 + plan.pool + plan.calls_at_once * DescriptorPlan::kOfACall +
                  plan.remembered_callers + map_descriptors(static_cast<std::int64_t>(limit)),
              static_cast<std::int64_t>(limit));
  }
}

TEST(DescriptorPlanTest, MostOfThemAreForWhatLasts) {
  EXPECT_GE(DescriptorPlan::of(200, 8).pool, 150);
  EXPECT_GE(DescriptorPlan::of(1024, 8).pool, 840);
  EXPECT_GE(DescriptorPlan::of(20000, 8).pool, 15000);
  EXPECT_EQ(DescriptorPlan::of(1U << 20, 8).calls_at_once, 1024);
  EXPECT_EQ(map_descriptors(200), 0);
  EXPECT_EQ(map_descriptors(1024), 0);
  EXPECT_EQ(map_descriptors(4096), 192);
  EXPECT_EQ(map_descriptors(1 << 20), 1024);
  EXPECT_EQ(spare_file_descriptors(1024), 0);
  EXPECT_EQ(spare_file_descriptors(1 << 20), 8);
  EXPECT_EQ(DescriptorPlan::of(1U << 20, 8).pool, 1 << 18) << "each segment costs memory, too";
}

TEST(DescriptorPlanTest, ATinyLimitLeavesNothingForWhatLasts) {
  for (std::uint64_t limit = 0; limit < 24; ++limit) {
    const auto plan = DescriptorPlan::of(limit, 12);
    EXPECT_EQ(plan.pool, 0) << limit;
    EXPECT_GE(plan.calls_at_once, 3) << limit;
  }
  EXPECT_GT(DescriptorPlan::of(UINT64_MAX, 12).pool, 0) << "RLIM_INFINITY";
}

}  // namespace
}  // namespace shmvisor
