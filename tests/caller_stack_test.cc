#include "supervisor/serve/caller_stack.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "emulation/abi/abi.h"
#include "supervisor/check/child.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kPage = kPageBytes;
constexpr std::uint64_t kMiB = 1 << 20;

/// With PROCMAP_QUERY where the kernel has it, and by the text of /proc/PID/maps.
class CallerStackTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (!GetParam()) features_.mark_absent(KernelFeature::kProcmapQuery);
    constexpr std::size_t kRoomBytes = 16 * kMiB;
    void* const room =
        ::mmap(nullptr, kRoomBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT_NE(room, MAP_FAILED);
    ::munmap(room, kRoomBytes);
    stack_ = static_cast<char*>(room) + kRoomBytes - kPage;
    ASSERT_EQ(::mmap(stack_, kPage, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0),
              stack_);
    child_.emplace();
    ASSERT_TRUE(child_->started());
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_STACK, &limit), 0);
    limit.rlim_cur = kMiB;
    ASSERT_EQ(::prlimit(child_->pid(), RLIMIT_STACK, &limit, nullptr), 0);
  }
  void TearDown() override { ::munmap(stack_, kPage); }

  [[nodiscard]] std::uint64_t below(std::uint64_t bytes) const {
    return reinterpret_cast<std::uintptr_t>(stack_) - bytes;
  }
  bool too_far(std::uint64_t bytes_below) {
    const auto answer = is_too_far_below_stack(child_->pid(), below(bytes_below), features_);
    EXPECT_TRUE(answer);
    return *answer;
  }
  bool grow(std::uint64_t bytes_below) {
    const auto answer = grow_stack(child_->pid(), below(bytes_below), features_);
    EXPECT_TRUE(answer);
    return *answer;
  }
  bool can_read(std::uint64_t bytes_below) {
    char byte = 0;
    const iovec local{&byte, 1};
    const iovec remote{stack_ - bytes_below, 1};
    return ::process_vm_readv(child_->pid(), &local, 1, &remote, 1, 0) == 1;
  }

  KernelFeatures features_;
  char* stack_ = nullptr;
  std::optional<IdleChild> child_;
};

TEST_P(CallerStackTest, WhatIsMappedIsNotTooFar) {
  EXPECT_FALSE(too_far(0));
  stack_[0] = 1;  // ours alone; the child's is untouched still
  EXPECT_FALSE(too_far(0));
}

TEST_P(CallerStackTest, TheCallersLimitDecides) {
  EXPECT_FALSE(too_far(kMiB / 2));
  // With the page of the stack that is there, exactly the limit.
  EXPECT_FALSE(too_far(kMiB - kPage));
  EXPECT_TRUE(too_far(kMiB));
  EXPECT_TRUE(too_far(2 * kMiB));
}

TEST_P(CallerStackTest, GrowsWithinTheLimitOnly) {
  EXPECT_TRUE(grow(kMiB / 2));
  EXPECT_TRUE(can_read(kMiB / 2));
  EXPECT_FALSE(grow(2 * kMiB));
}

TEST_P(CallerStackTest, WhatIsMappedDoesNotGrow) { EXPECT_FALSE(grow(0)); }

/// The kernel's copies are what the supervisor believes that they are.
TEST_P(CallerStackTest, CopiesGrowAStackOrDoNot) {
  EXPECT_EQ(can_read(kMiB / 2), copies_grow_stacks());
}

INSTANTIATE_TEST_SUITE_P(BothWays, CallerStackTest, ::testing::Bool(),
                         [](const auto& each) { return each.param ? "procmap_query" : "text"; });

}  // namespace
}  // namespace shmvisor
