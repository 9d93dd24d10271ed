// MemfdMemory of huge pages.
#include "tests/memfd_memory_fixture.h"

namespace shmvisor {
namespace {

/// Huge pages, which most machines have support for and none of reserved.
class MemfdMemoryHugeTest : public MemfdMemoryTest {
 protected:
  void SetUp() override {
    MachineResources resources(features_);
    Machine machine(resources, scope_);
    const auto bytes = machine.huge_page_bytes(0);
    if (!bytes) GTEST_SKIP() << "this kernel has no huge pages: errno " << bytes.error().value();
    page_bytes_ = *bytes;
  }
  Result<std::unique_ptr<MemfdMemory>> make_huge(bool reserve) {
    BackingRequest request;
    request.name = "SYSV00000000";
    request.size_bytes = 1;
    request.huge = true;
    request.huge_page_bytes = page_bytes_;
    request.reserve = reserve;
    return MemfdMemory::create(request, page_bytes_, MemoryCharges(), lock_keeper_, features_);
  }
  static std::uint64_t free_pages() {
    std::ifstream meminfo("/proc/meminfo");
    std::uint64_t free = 0;
    std::uint64_t reserved = 0;
    for (std::string line; std::getline(meminfo, line);) {
      if (line.starts_with("HugePages_Free:")) free = std::stoull(line.substr(15));
      if (line.starts_with("HugePages_Rsvd:")) reserved = std::stoull(line.substr(15));
    }
    return free - reserved;
  }

  std::uint64_t page_bytes_ = 0;
};

TEST_F(MemfdMemoryHugeTest, WithoutReservationThereIsAlwaysOne) {
  const auto memory = make_huge(false);
  ASSERT_TRUE(memory) << "errno " << memory.error().value();
  EXPECT_TRUE((**memory).is_huge());
  EXPECT_EQ((**memory).mapped_size_bytes(), page_bytes_);
  EXPECT_FALSE((**memory).in_use());
  EXPECT_EQ((**memory).usage().resident, 0U);
  UniqueFd fd = open(**memory, kAnyAccess);
  EXPECT_TRUE((**memory).in_use());
  fd.reset();
  EXPECT_FALSE((**memory).in_use());
}

TEST_F(MemfdMemoryHugeTest, ReservedOnlyWhileThereAreSome) {
  const std::uint64_t before = free_pages();
  const auto memory = make_huge(true);
  if (before == 0) {
    ASSERT_FALSE(memory);
    EXPECT_EQ(memory.error(), Errno(ENOMEM));
  } else {
    ASSERT_TRUE(memory);
    EXPECT_EQ(free_pages(), before - 1);
  }
}

}  // namespace
}  // namespace shmvisor
