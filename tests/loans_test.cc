// Loans: how many there may be, and when they are forgotten.
#include "supervisor/inject/loans.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <thread>

#include "supervisor/credentials/thread_identity.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {
namespace {

constexpr uid_t kAttacker = 65534;
constexpr uid_t kOther = 65533;

class LoansTest : public ::testing::Test {
 protected:
  /// How many of so many are had.
  std::size_t take(uid_t user, std::size_t wanted) {
    std::size_t had = 0;
    for (std::size_t i = 0; i < wanted; ++i) had += loans_.reserve(++last_, 1, user) ? 1 : 0;
    return had;
  }
  void keep(std::uint64_t unique) {
    UniqueFd file(::memfd_create("loan", MFD_CLOEXEC));
    const LentDescriptor lent(file.get());
    loans_.keep(unique, std::move(file), lent);
  }

  Loans loans_;
  KernelFeatures features_;
  std::uint64_t last_ = 0;
};

TEST_F(LoansTest, OneUserLeavesAHalfToOthers) {
  EXPECT_EQ(take(kAttacker, 1000), Loans::kMost / 2);
  EXPECT_EQ(take(kOther, 1000), Loans::kMost / 4);
  loans_.cancel(1);
  loans_.cancel(2);
  EXPECT_EQ(take(kAttacker, 1000), 0U) << "of what has become free it has more than its share";
  EXPECT_EQ(take(kOther, 1000), 1U);
}

TEST_F(LoansTest, AThreadHasOneAtMost) {
  for (int again = 0; again < 1000; ++again) ASSERT_TRUE(loans_.reserve(1, 1, kAttacker));
  EXPECT_EQ(take(kOther, 1000), Loans::kMost / 2);
}

TEST_F(LoansTest, ItIsLookedAfterUntilItsThreadEnds) {
  EXPECT_EQ(loans_.look(features_).count(), 0) << "there is none";
  // 0 is the number of a thread that has none: it lives as long as there is one of its tid.
  ASSERT_TRUE(loans_.reserve(0, ::gettid(), kAttacker));
  EXPECT_EQ(loans_.look(features_).count(), 0) << "whoever reserved it is about to keep it";
  keep(0);
  EXPECT_GT(loans_.look(features_).count(), 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_GT(loans_.look(features_), std::chrono::milliseconds(1)) << "ever later";
  ASSERT_TRUE(loans_.reserve(~std::uint64_t{0}, ::gettid(), kAttacker));
  keep(~std::uint64_t{0});
  loans_.cancel(0);
  EXPECT_EQ(loans_.look(features_).count(), 0) << "no thread has that number";
}

}  // namespace
}  // namespace shmvisor
