// LockedPages, of a file of 256 pages, by what our page table has of it.
#include "supervisor/memory/locked_pages.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string>

#include "emulation/abi/abi.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kPages = 256;
constexpr std::uint64_t kATime = 64;
/// A fault brings those around it in as well, fewer than so many beyond a part.
constexpr std::uint64_t kAround = 32;

class LockedPagesTest : public ::testing::Test {
 protected:
  LockedPagesTest()
      : file_(std::make_shared<const UniqueFd>(::memfd_create("locked", MFD_CLOEXEC))),
        discarded_(std::make_shared<std::atomic<bool>>(false)) {
    EXPECT_EQ(::ftruncate(file_->get(), kPages * kPageBytes), 0);
    auto mapping = InternalMapping::of(file_->get(), kPages * kPageBytes, PROT_READ);
    EXPECT_TRUE(mapping);
    address_ = mapping->bytes().data();
    pages_ = std::make_unique<LockedPages>(std::move(*mapping), file_, discarded_, kATime);
  }

  void write_pages(std::uint64_t begin, std::uint64_t end) {
    const std::string page(kPageBytes, 'x');
    for (; begin < end; ++begin) {
      const auto at = static_cast<off_t>(begin * kPageBytes);
      ASSERT_EQ(::pwrite(file_->get(), page.data(), page.size(), at), ssize_t{4096});
    }
  }
  /// Pages of the mapping that are faulted in: bit 63 of pagemap's entries.
  [[nodiscard]] std::uint64_t faulted_in() const {
    const UniqueFd map(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
    std::array<std::uint64_t, kPages> entries{};
    const auto at = static_cast<off_t>(reinterpret_cast<std::uintptr_t>(address_) / 4096 * 8);
    EXPECT_EQ(::pread(map.get(), entries.data(), sizeof(entries), at), ssize_t{sizeof(entries)});
    std::uint64_t pages = 0;
    for (const std::uint64_t entry : entries) pages += entry >> 63;
    return pages;
  }
  [[nodiscard]] blkcnt_t blocks() const {
    struct stat status {};
    EXPECT_EQ(::fstat(file_->get(), &status), 0);
    return status.st_blocks;
  }

  std::shared_ptr<const UniqueFd> file_;
  std::shared_ptr<std::atomic<bool>> discarded_;
  std::byte* address_ = nullptr;
  std::unique_ptr<LockedPages> pages_;
};

TEST_F(LockedPagesTest, ARenewalDoesAPartAndTheNextGoesOn) {
  write_pages(0, kPages);
  ::madvise(address_, kPages * kPageBytes, MADV_DONTNEED);
  for (std::uint64_t part = 1; part <= kPages / kATime; ++part) {
    EXPECT_EQ(pages_->renew(), part != kPages / kATime);
    EXPECT_GE(faulted_in(), part * kATime);
    EXPECT_LT(faulted_in(), part * kATime + kAround);
  }
}

TEST_F(LockedPagesTest, WhatComesBehindItsPlaceIsMetInTheNextRound) {
  write_pages(140, 142);
  EXPECT_TRUE(pages_->renew());
  write_pages(0, 3);
  for (int part = 0; part < 3; ++part) EXPECT_TRUE(pages_->renew());
  EXPECT_EQ(faulted_in(), 2U);
  EXPECT_TRUE(pages_->renew());
  EXPECT_EQ(faulted_in(), 5U);
}

TEST_F(LockedPagesTest, NothingOnceItIsStopped) {
  write_pages(0, kPages);
  pages_->stop();
  EXPECT_FALSE(pages_->renew());
  EXPECT_EQ(faulted_in(), 0U);
}

TEST_F(LockedPagesTest, NothingIsLeftOfWhatWasDiscarded) {
  write_pages(0, kPages);
  EXPECT_TRUE(pages_->renew());
  *discarded_ = true;
  EXPECT_FALSE(pages_->renew());
  EXPECT_EQ(blocks(), 0);
}

}  // namespace
}  // namespace shmvisor
