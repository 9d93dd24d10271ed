// Registry: what it shows of its segments, and how often they are mapped.
#include "tests/registry_fixture.h"

namespace shmvisor {
namespace {

TEST_F(RegistryTest, Rows) {
  const auto first = add(7, 100);
  const auto second = add(8, 5000);
  const auto third = add(9, 1);
  remove(second);
  pages(third).areas = 3;
  pages(third).usage = {2, 1};
  first->note_attach({{4, nullptr}, 55});
  FakeViewpoint viewpoint;
  const auto shown = registry.rows(viewpoint);
  ASSERT_TRUE(shown);
  const auto& rows = *shown;
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].id, first->id());
  EXPECT_EQ(rows[0].ds.key, 7);
  EXPECT_EQ(rows[0].ds.segsz_bytes, 100U);
  EXPECT_EQ(rows[0].ds.nattch, 0U);
  EXPECT_EQ(rows[0].ds.atime, 55);
  EXPECT_EQ(rows[0].ds.lpid, 4);
  EXPECT_EQ(rows[0].ds.cpid, 1);
  EXPECT_EQ(rows[1].id, third->id());
  EXPECT_EQ(rows[1].ds.nattch, 3U);
  EXPECT_EQ(rows[1].usage.resident, 2U);
  EXPECT_EQ(rows[1].usage.swapped, 1U);
}

TEST_F(RegistryTest, RowsOfAPart) {
  registry.change(SetLimit{SetLimit::Which::kShmmni, 6});
  std::vector<Registry::SegmentPointer> segments;
  for (int key = 1; key <= 6; ++key) segments.push_back(add(key, 1));
  for (const auto& segment : segments) pages(segment).areas = 2;
  pages(segments[2]).areas = 0;
  remove(segments[2]);
  FakeViewpoint viewpoint;
  const auto part = registry.rows(viewpoint, {.first_index = 1, .most = 3});
  ASSERT_TRUE(part);
  ASSERT_EQ(part->size(), 3U);
  EXPECT_EQ(part->at(0).id, segments[1]->id());
  EXPECT_EQ(part->at(1).id, segments[3]->id());
  EXPECT_EQ(part->at(2).ds.nattch, 2U);
  EXPECT_EQ(host.counted, 3) << "nobody is counted who is not shown";
  const auto uncounted = registry.rows(viewpoint, {.first_index = 5, .count_attaches = false});
  ASSERT_TRUE(uncounted);
  ASSERT_EQ(uncounted->size(), 1U);
  EXPECT_EQ(uncounted->front().ds.nattch, 0U);
  EXPECT_EQ(host.counted, 3);
  EXPECT_TRUE(registry.rows(viewpoint, {.first_index = 6})->empty());
}

TEST_F(RegistryTest, ProcessesThatDoNotLetUsLookNeverMakeItSeemAbandoned) {
  const std::vector<Registry::SegmentPointer> segments{add(7, 1), add(8, 1), add(9, 1)};
  for (const auto& segment : segments) pages(segment).areas = 5;
  pages(segments[1]).hidden_looks = 1000;
  pages(segments[2]).areas = 0;
  host.counts_complete = false;
  const auto counts = registry.count_attaches(segments);
  ASSERT_TRUE(counts);
  EXPECT_EQ(*counts, (std::vector<std::uint64_t>{5, 1, 0}));
  EXPECT_LE(host.counted, 4) << "and are not asked again and again";
}

TEST_F(RegistryTest, WhatCannotBeCountedIsAnErrorAndNotZero) {
  const std::vector<Registry::SegmentPointer> segments{add(7, 1)};
  pages(segments[0]).areas = 5;
  host.count_error = Errno(ENOMEM);
  EXPECT_EQ(registry.count_attaches(segments).error(), Errno(ENOMEM));
  FakeViewpoint viewpoint;
  EXPECT_EQ(registry.rows(viewpoint).error(), Errno(ENOMEM));
}

// A process that forks and ends may hide its child from a look, but not from the kernel.
TEST_F(RegistryTest, WhoHidesFromALookIsLookedForAgain) {
  const std::vector<Registry::SegmentPointer> segments{add(7, 1), add(8, 1), add(9, 1)};
  for (const auto& segment : segments) pages(segment).areas = 5;
  pages(segments[1]).hidden_looks = 1;
  EXPECT_EQ(*registry.count_attaches(segments), (std::vector<std::uint64_t>{5, 5, 5}));
  EXPECT_EQ(host.counted, 4) << "again, but for the one that was missed";
}

// Such as those whose maps we may not read.
TEST_F(RegistryTest, WhoHidesForEverIsNotLookedForSo) {
  const std::vector<Registry::SegmentPointer> segments{add(7, 1), add(8, 1)};
  pages(segments[0]).areas = pages(segments[1]).areas = 5;
  pages(segments[1]).hidden_looks = 1000;
  EXPECT_EQ(*registry.count_attaches(segments), (std::vector<std::uint64_t>{5, 0}));
  EXPECT_LT(host.counted, 20);
  // All have left between the question and the count.
  pages(segments[1]).areas = 0;
  host.counted = 0;
  EXPECT_EQ(*registry.count_attaches(segments), (std::vector<std::uint64_t>{5, 0}));
  EXPECT_EQ(host.counted, 2);
}

}  // namespace
}  // namespace shmvisor
