// Files of segments that nobody attached, for the next segments.
#include "supervisor/memory/spare_files.h"

#include <chrono>
#include <thread>

#include "tests/memfd_memory_fixture.h"

namespace shmvisor {
namespace {

class SpareFilesTest : public MemfdMemoryTest {
 protected:
  std::unique_ptr<MemfdMemory> make_spared(std::uint64_t pages = 4,
                                           const char* name = "SYSV00000000", bool commit = false) {
    BackingRequest request;
    request.name = name;
    request.size_bytes = pages * kPage;
    request.commit = commit;
    auto memory = MemfdMemory::create(request, request.size_bytes, MemoryCharges(), lock_keeper_,
                                      features_, &spares_);
    EXPECT_TRUE(memory);
    return memory ? std::move(*memory) : nullptr;
  }
  static FileIdentity end(std::unique_ptr<MemfdMemory> memory) {
    const FileIdentity identity = memory->identity();
    memory->discard();
    return identity;
  }

  SpareFiles spares_{2};
};

TEST_F(SpareFilesTest, TheNextSegmentOfThatNameAndSizeHasIt) {
  const FileIdentity first = end(make_spared());
  EXPECT_EQ(spares_.count(), 1U);
  EXPECT_NE(make_spared(5)->identity(), first);
  EXPECT_NE(make_spared(4, "SYSV00000001")->identity(), first);
  // These two have taken the places.
  EXPECT_EQ(spares_.count(), 2U);
  EXPECT_NE(make_spared()->identity(), first);
  const FileIdentity again = end(make_spared());
  const auto memory = make_spared();
  EXPECT_EQ(memory->identity(), again);
  EXPECT_EQ(memory->usage().resident, 0U);
  EXPECT_EQ(memory->mapped_size_bytes(), 4 * kPage);
  EXPECT_FALSE(memory->in_use());
}

TEST_F(SpareFilesTest, ItIsAsGoodAsNew) {
  end(make_spared());
  const auto memory = make_spared();
  const UniqueFd fd = open(*memory, kAnyAccess);
  struct stat status {};
  ASSERT_EQ(::fstat(fd.get(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, mode_t{0600});
  EXPECT_EQ(status.st_size, static_cast<off_t>(4 * kPage));
  EXPECT_EQ(::ftruncate(fd.get(), 8 * kPage), -1) << "its size is sealed";
  EXPECT_TRUE(memory->in_use());
}

TEST_F(SpareFilesTest, WhatSomebodyHadIsNotKept) {
  auto memory = make_spared();
  (void)open(*memory, kAnyAccess);
  end(std::move(memory));
  EXPECT_EQ(spares_.count(), 0U) << "a description";
  memory = make_spared();
  (void)memory->reference();
  end(std::move(memory));
  EXPECT_EQ(spares_.count(), 0U) << "a reference";
  memory = make_spared();
  memory->lock(LockMode::kEager);
  memory->lock(LockMode::kNone);
  end(std::move(memory));
  EXPECT_EQ(spares_.count(), 0U) << "pages";
  end(make_spared(4, "SYSV00000000", /*commit=*/true));
  EXPECT_EQ(spares_.count(), 0U) << "all pages";
}

TEST(SpareFilesOfTheProcess, AreClosedOnceTheyAreNotUsed) {
  SpareFiles& all = SpareFiles::all();
  all.keep({std::make_shared<const UniqueFd>(), {}, "SYSV00000000", 4096});
  if (all.count() == 0) GTEST_SKIP() << "none are kept with so few descriptors";
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (all.count() != 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_EQ(all.count(), 0U);
}

TEST_F(SpareFilesTest, NoMoreAreKeptThanAllowed) {
  end(make_spared(1));
  const FileIdentity second = end(make_spared(2));
  const FileIdentity third = end(make_spared(3));
  EXPECT_EQ(spares_.count(), 2U);
  EXPECT_EQ(make_spared(2)->identity(), second);
  EXPECT_EQ(make_spared(3)->identity(), third);
  SpareFiles none(0);
  none.keep({std::make_shared<const UniqueFd>(), second, "SYSV00000000", kPage});
  EXPECT_EQ(none.count(), 0U);
}

}  // namespace
}  // namespace shmvisor
