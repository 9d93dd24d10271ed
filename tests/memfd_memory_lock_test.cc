// MemfdMemory::lock().
#include "tests/memfd_memory_fixture.h"

namespace shmvisor {
namespace {

TEST_F(MemfdMemoryTest, LockedPagesAreLockedByUs) {
  const auto memory = make(8);
  char* const address = map(open(*memory, kAnyAccess).get(), 8);
  address[3 * kPage] = 1;
  const std::uint64_t before = status_kib("VmLck");
  memory->lock(LockMode::kLazy);
  const std::uint64_t locked = status_kib("VmLck") - before;
  if (locked == 0) GTEST_SKIP() << "RLIMIT_MEMLOCK lets us lock nothing";
  EXPECT_EQ(locked, 32U);
  EXPECT_EQ(memory->usage().resident, 1U) << "nothing is allocated for it";
  EXPECT_TRUE(memory->in_use());
  memory->lock(LockMode::kLazy);
  EXPECT_EQ(status_kib("VmLck") - before, 32U) << "twice is once";
  memory->lock(LockMode::kNone);
  EXPECT_EQ(status_kib("VmLck"), before);
  memory->lock(LockMode::kNone);
  ::munmap(address, 8 * kPage);
}

// As the kernel never swaps a page of a locked segment, whenever it was touched.
TEST_F(MemfdMemoryTest, PagesThatComeLaterAreLockedToo) {
  const auto memory = make(8);
  char* const address = map(open(*memory, kAnyAccess).get(), 8);
  memory->lock(LockMode::kLazy);
  if (status_kib("VmLck") == 0) GTEST_SKIP() << "RLIMIT_MEMLOCK lets us lock nothing";
  const auto locked_kib = [&] { return locked_of(memory->identity()); };
  EXPECT_EQ(locked_kib(), 0U);
  for (const std::uint64_t pages : {3, 8}) {
    for (std::uint64_t page = 0; page < pages; ++page) address[page * kPage] = 'x';
    for (int looks = 0; looks < 5000 && locked_kib() != 4 * pages; ++looks) ::usleep(1000);
    EXPECT_EQ(locked_kib(), 4 * pages);
  }
  memory->lock(LockMode::kNone);
  EXPECT_EQ(locked_kib(), 0U);
  ::munmap(address, 8 * kPage);
}

TEST_F(MemfdMemoryTest, AnEagerLockBringsEveryPageIn) {
  const auto memory = make(8);
  const std::uint64_t before = status_kib("VmLck");
  memory->lock(LockMode::kEager);
  const std::uint64_t locked = status_kib("VmLck") - before;
  if (locked == 0) GTEST_SKIP() << "RLIMIT_MEMLOCK lets us lock nothing";
  EXPECT_EQ(locked, 32U);
  EXPECT_EQ(memory->usage().resident, 8U);
  memory->lock(LockMode::kNone);
  EXPECT_EQ(memory->usage().resident, 8U) << "what is there stays";
}

TEST_F(MemfdMemoryTest, ALockThatComesAfterTheEndBringsNothingBack) {
  const auto memory = make(8);
  const UniqueFd file = open(*memory, kAnyAccess);
  ASSERT_EQ(::pwrite(file.get(), "here", 4, 0), 4);
  const std::uint64_t before = status_kib("VmLck");
  const auto discard = memory->discarding();
  memory->lock(LockMode::kEager);
  discard();
  EXPECT_EQ(memory->usage().resident, 0U);
  EXPECT_EQ(status_kib("VmLck"), before);
}

// SHM_LOCK and IPC_RMID at the same time.
TEST_F(MemfdMemoryTest, WhicheverIsFirstLockOrEndNothingIsLeft) {
  const std::uint64_t before = status_kib("VmLck");
  for (int round = 0; round < 300; ++round) {
    const auto memory = make(256);
    open(*memory, kAnyAccess).reset();
    std::atomic<bool> go = false;
    std::thread locker([&] {
      while (!go) {
      }
      memory->lock(round % 2 == 0 ? LockMode::kEager : LockMode::kLazy);
    });
    go = true;
    if (round % 3 != 0) ::usleep(static_cast<useconds_t>(round));
    const auto discard = memory->discarding();
    if (discard) discard();
    locker.join();
    ASSERT_EQ(memory->usage().resident, 0U) << round;
    ASSERT_EQ(status_kib("VmLck"), before) << round;
  }
}

// Our own mapping for the lock is of our own description: nobody's attach.
TEST_F(MemfdMemoryTest, LockedIsNotInUse) {
  const auto memory = make();
  memory->lock(LockMode::kLazy);
  EXPECT_FALSE(memory->in_use());
}

TEST_F(MemfdMemoryTest, ALockEndsWithTheMemory) {
  const std::uint64_t before = status_kib("VmLck");
  auto memory = make();
  memory->lock(LockMode::kLazy);
  memory.reset();
  EXPECT_EQ(status_kib("VmLck"), before);
}

}  // namespace
}  // namespace shmvisor
