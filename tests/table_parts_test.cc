// Tables of several registries: one look for all of them.
#include "supervisor/control/table_parts.h"

#include "tests/registry_fixture.h"

namespace shmvisor {
namespace {

class TablePartsTest : public RegistryTest {
 protected:
  TablePartsTest() {
    host.while_counting = [this] { ++looks_; };
  }
  /// Two registries of two segments each, of which one is mapped so often.
  void fill(std::uint64_t first, std::uint64_t second) {
    add();
    map(add());
    host.last().areas = first;
    other_ = std::make_shared<Registry>(host, files, Limits());
    add_to(*other_);
    add_to(*other_);
    host.last().areas = second;
  }
  void add_to(Registry& other) {
    BackingRequest request;
    request.size_bytes = 4096;
    auto memory = host.create_memory(request);
    Registry::WriteGuard state = other.write();
    const auto free = state->next_id();
    Dropped none;
    state.apply(InsertSegment{*free, std::make_shared<Segment>(creation(free->id, kNoKey, 4096),
                                                               std::move(*memory))},
                none);
  }

  std::shared_ptr<Registry> other_;
  int looks_ = 0;
};

TEST_F(TablePartsTest, OneLookCountsForAll) {
  fill(2, 3);
  TableParts tables;
  EXPECT_EQ(tables.add(owner, 0, 7), IdSpace::kMaxIds);
  EXPECT_EQ(tables.add(other_, 1, 1), 2) << "there may be more";
  EXPECT_EQ(looks_, 0);
  ASSERT_TRUE(tables.count_attaches());
  EXPECT_EQ(looks_, 1);
  EXPECT_EQ(tables.rows(), 3U);
  const auto& parts = tables.parts();
  EXPECT_EQ(parts[0].rows[0].ds.nattch, 0U);
  EXPECT_EQ(parts[0].rows[1].ds.nattch, 2U);
  EXPECT_EQ(parts[1].rows[0].ds.nattch, 3U);
  EXPECT_EQ(parts[1].segments()[0]["nattch"], 3);
}

TEST_F(TablePartsTest, WhereNothingIsMappedNobodyLooks) {
  fill(0, 0);
  TableParts tables;
  tables.add(owner, 0, 7);
  tables.add(other_, 0, 0);
  EXPECT_TRUE(tables.count_attaches());
  EXPECT_EQ(looks_, 0);
  EXPECT_EQ(tables.parts()[1].rows.size(), 0U) << "there is no room";
}

TEST_F(TablePartsTest, WhoCannotCountSaysSo) {
  fill(1, 0);
  TableParts tables;
  tables.add(owner, 0, 7);
  tables.add(other_, 0, 7);
  host.count_error = Errno(ENOMEM);
  EXPECT_FALSE(tables.count_attaches());
  EXPECT_FALSE(tables.parts()[0].is_counted);
  EXPECT_TRUE(tables.parts()[1].is_counted) << "of which nothing is mapped";
}

}  // namespace
}  // namespace shmvisor
