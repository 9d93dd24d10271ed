// MemfdMemory::in_use(), with leases and without, whatever others do with the file.
#include "tests/memfd_memory_fixture.h"

namespace shmvisor {
namespace {

// Where leases are forbidden (fs.leases-enable).
class WithoutLeasesTest : public MemfdMemoryTest {
 protected:
  WithoutLeasesTest() { features_.mark_absent(KernelFeature::kLeases); }
};

TEST_F(WithoutLeasesTest, InUseWhileADescriptionIsHeldOrMapped) {
  const auto memory = make();
  EXPECT_FALSE(memory->in_use());
  UniqueFd first = open(*memory, kAnyAccess);
  UniqueFd second = open(*memory, kReadExecute);
  EXPECT_TRUE(memory->in_use());
  first.reset();
  EXPECT_TRUE(memory->in_use()) << "a read-only one counts";
  char* const address = map(second.get(), 4, PROT_READ);
  second.reset();
  EXPECT_TRUE(memory->in_use()) << "the mapping keeps it";
  ::munmap(address + kPage, kPage);
  ::munmap(address, kPage);
  EXPECT_TRUE(memory->in_use()) << "a part of it does";
  ::munmap(address + 2 * kPage, 2 * kPage);
  EXPECT_FALSE(memory->in_use());
  open(*memory, kAnyAccess).reset();
  EXPECT_FALSE(memory->in_use());
}

TEST_F(WithoutLeasesTest, AForkKeepsIt) {
  const auto memory = make();
  char* const address = map(open(*memory, kAnyAccess).get(), 4);
  Gate ready;
  Child child([&] {
    ready.open();
    return ::pause();
  });
  ASSERT_TRUE(ready.pass());
  ::munmap(address, 4 * kPage);
  EXPECT_TRUE(memory->in_use());
  ::kill(child.pid(), SIGKILL);
  ASSERT_TRUE(child.wait(0));
  EXPECT_FALSE(memory->in_use());
}

// Who caught a descriptor.
TEST_F(WithoutLeasesTest, NobodyElsesLockKeepsOthersOut) {
  const auto memory = make();
  struct flock whole {};
  whole.l_type = F_WRLCK;
  {
    const UniqueFd caught = open(*memory, kAnyAccess);
    const UniqueFd again(::open(memory->path().c_str(), O_RDWR));
    EXPECT_EQ(::fcntl(caught.get(), F_OFD_SETLK, &whole), -1);
    EXPECT_EQ(::fcntl(again.get(), F_OFD_SETLK, &whole), -1);
    UniqueFd another = open(*memory, kReadExecute);
    EXPECT_TRUE(memory->in_use());
  }
  EXPECT_FALSE(memory->in_use());
}

TEST_F(MemfdMemoryTest, WhatWasHandedOutBeforeLeasesWereForbiddenIsInUseStill) {
  const auto memory = make();
  UniqueFd before = open(*memory, kAnyAccess);
  features_.mark_absent(KernelFeature::kLeases);
  UniqueFd after = open(*memory, kAnyAccess);
  after.reset();
  EXPECT_TRUE(memory->in_use());
  before.reset();
  EXPECT_FALSE(memory->in_use()) << "leases are allowed in truth";
  after = open(*memory, kAnyAccess);
  EXPECT_TRUE(memory->in_use());
}

TEST_F(MemfdMemoryTest, InUseWhileADescriptionIsHeld) {
  const auto memory = make();
  EXPECT_FALSE(memory->in_use());
  UniqueFd first = open(*memory, kAnyAccess);
  EXPECT_TRUE(memory->in_use());
  UniqueFd second = open(*memory, kReadExecute);
  first.reset();
  EXPECT_TRUE(memory->in_use()) << "a read-only one counts";
  second.reset();
  EXPECT_FALSE(memory->in_use());
  EXPECT_FALSE(memory->in_use()) << "asking leaves no lease behind";
  open(*memory, kAnyAccess).reset();
  EXPECT_FALSE(memory->in_use());
}

TEST_F(MemfdMemoryTest, NobodyElseGetsALease) {
  const auto memory = make();
  for (const Access& access : {kReadExecute, kAnyAccess}) {
    const UniqueFd caught = open(*memory, access);
    EXPECT_EQ(::fcntl(caught.get(), F_SETLEASE, F_RDLCK), -1);
    EXPECT_EQ(::fcntl(caught.get(), F_SETLEASE, F_WRLCK), -1);
    EXPECT_EQ(::fcntl(caught.get(), F_ADD_SEALS, F_SEAL_WRITE), -1);
  }
}

// A signal of the lease would end us, or go on to the command.
TEST_F(MemfdMemoryTest, WhoBreaksTheLeaseCausesNoSignal) {
  const auto memory = make();
  std::atomic<bool> over = false;
  std::atomic<int> met = 0;
  std::thread opener([&] {
    while (!over) {
      const UniqueFd fd(::open(memory->path().c_str(), O_RDONLY | O_NONBLOCK));
      if (!fd.valid() && errno == EWOULDBLOCK) ++met;
    }
  });
  for (int asked = 0; asked < 200'000 && met < 3; ++asked) {
    open(*memory, kAnyAccess).reset();
    (void)memory->in_use();
  }
  over = true;
  opener.join();
  if (met == 0) GTEST_SKIP() << "the two never met";
}

TEST_F(MemfdMemoryTest, InUseWhileItIsMapped) {
  const auto memory = make();
  for (const auto access : {kAnyAccess, kReadExecute}) {
    UniqueFd fd = open(*memory, access);
    char* const address = map(fd.get(), 4, PROT_READ);
    ASSERT_NE(address, nullptr);
    fd.reset();
    EXPECT_TRUE(memory->in_use());
    ::munmap(address, 2 * kPage);
    EXPECT_TRUE(memory->in_use()) << "half of it is left";
    ::munmap(address + 2 * kPage, 2 * kPage);
    EXPECT_FALSE(memory->in_use());
  }
}

TEST_F(MemfdMemoryTest, InUseByAForkedChildUntilItDies) {
  const auto memory = make();
  UniqueFd fd = open(*memory, kAnyAccess);
  char* const address = map(fd.get(), 4);
  fd.reset();
  Child child([] { return ::pause(); });
  ::munmap(address, 4 * kPage);
  EXPECT_TRUE(memory->in_use());
  ::kill(child.pid(), SIGKILL);
  ASSERT_TRUE(child.wait(0));
  EXPECT_FALSE(memory->in_use());
}

}  // namespace
}  // namespace shmvisor
