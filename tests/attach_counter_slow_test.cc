// Processes that map so much that a look at one of them takes long.
#include <atomic>
#include <ctime>
#include <memory>
#include <vector>

#include "tests/attach_counter_fixture.h"
#include "tests/unclosable_file.h"

namespace shmvisor {
namespace {

class AttachCounterSlowTest : public AttachCounterTest {};

/// Mappings of one page of another file, none of them another's continuation.
void map_much(int mappings) {
  const UniqueFd other(::memfd_create("other", MFD_CLOEXEC));
  (void)!::ftruncate(other.get(), kPage);
  for (int i = 0; i < mappings; ++i) {
    ::mmap(nullptr, kPage, PROT_READ, MAP_SHARED, other.get(), 0);
  }
}

/// Mappings of no file, no two of which merge.
void map_apart(std::size_t mappings) {
  auto* const at = static_cast<char*>(::mmap(nullptr, mappings * kPage, PROT_NONE,
                                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  for (std::size_t i = 0; i < mappings; i += 2) ::mprotect(at + i * kPage, kPage, PROT_READ);
}

TEST_P(AttachCounterSlowTest, WhoMapsMuchElseKeepsNobodyWaiting) {
  constexpr int kMany = 50000;
  SharedPage<std::atomic<int>> ready;
  std::vector<std::unique_ptr<Child>> children;
  for (int i = 0; i < 3; ++i) {
    children.push_back(std::make_unique<Child>([&] {
      map_much(kMany);
      ++*ready;
      return ::pause();
    }));
  }
  Child plain([&] {
    map_whole();
    ++*ready;
    return ::pause();
  });
  for (int wait = 0; wait < 60000 && ready->load() < 4; ++wait) ::usleep(1000);
  ASSERT_EQ(ready->load(), 4);
  // Looks that took too long end in the background; then they are known.
  const auto settled = [&] {
    for (int wait = 0; wait < 500 && attach_counter_.lost() != 0; ++wait) ::usleep(10000);
  };
  for (int look = 0; look < 5; ++look) {
    EXPECT_EQ(count(), 1U);
    settled();
  }
  ASSERT_EQ(attach_counter_.lost(), 0);
  const auto cpu_before = std::clock();
  const auto counted = attach_counter_.count_mappings({&identity_, 1});
  ASSERT_TRUE(counted);
  EXPECT_EQ(counted->of_files.front(), 1U);
  EXPECT_FALSE(counted->complete) << "it says so";
  EXPECT_LT(std::clock() - cpu_before, CLOCKS_PER_SEC / 10);
}

// Not each of them alone: what they cost together.
TEST_P(AttachCounterSlowTest, ManyWhoTakeLongAndMapItKeepNobodyWaiting) {
  constexpr std::uint64_t kChildren = 12;
  SharedPage<std::atomic<std::uint64_t>> ready;
  std::vector<std::unique_ptr<Child>> children;
  for (std::uint64_t i = 0; i < kChildren; ++i) {
    children.push_back(std::make_unique<Child>([&] {
      map_whole();
      map_apart(60000);
      ++*ready;
      return ::pause();
    }));
  }
  for (int wait = 0; wait < 60000 && ready->load() < kChildren; ++wait) ::usleep(1000);
  ASSERT_EQ(ready->load(), kChildren);
  const auto settled = [&] {
    for (int wait = 0; wait < 500 && attach_counter_.lost() != 0; ++wait) ::usleep(10000);
  };
  for (int look = 0; look < 20 && count() != kChildren; ++look) settled();
  settled();
  const auto cpu_before = std::clock();
  constexpr int kCounts = 5;
  for (int look = 0; look < kCounts; ++look) EXPECT_EQ(count(), kChildren);
  EXPECT_LT(std::clock() - cpu_before, kCounts * CLOCKS_PER_SEC / 10);
}

// There is no time for a look at each of those that take long. One that asks itself counts as it
// is.
TEST_P(AttachCounterSlowTest, WhoAsksCountsAsItIsNow) {
  if (!features_.usable(KernelFeature::kProcmapQuery)) GTEST_SKIP() << "no PROCMAP_QUERY";
  constexpr std::uint64_t kOthers = 12;
  SharedPage<std::atomic<std::uint64_t>> ready;
  std::vector<std::unique_ptr<Child>> others;
  for (std::uint64_t i = 0; i < kOthers; ++i) {
    others.push_back(std::make_unique<Child>([&] {
      map_whole();
      map_apart(60000);
      ++*ready;
      return ::pause();
    }));
  }
  SharedPage<std::atomic<std::uint64_t>> wanted;
  SharedPage<std::atomic<std::uint64_t>> mapped;
  *wanted = *mapped = 1;
  Child asking([&]() -> int {
    map_much(800);
    map_whole();
    ++*ready;
    for (char* second = nullptr;;) {
      while (*wanted == *mapped) ::usleep(500);
      if (*wanted == 2) {
        second = map_whole();
      } else {
        ::munmap(second, 8 * kPage);
      }
      *mapped = wanted->load();
    }
  });
  for (int wait = 0; wait < 60000 && ready->load() < kOthers + 1; ++wait) ::usleep(1000);
  ASSERT_EQ(ready->load(), kOthers + 1);
  const auto settled = [&] {
    for (int wait = 0; wait < 500 && attach_counter_.lost() != 0; ++wait) ::usleep(10000);
  };
  for (int look = 0; look < 20 && count() != kOthers + 1; ++look) settled();
  for (int look = 0; look < 30; ++look) {
    *wanted = 3 - *mapped;
    for (int wait = 0; wait < 60000 && *mapped != *wanted; ++wait) ::usleep(500);
    const auto counted = attach_counter_.count_mappings({&identity_, 1}, asking.pid());
    ASSERT_TRUE(counted);
    ASSERT_EQ(counted->of_files.front(), kOthers + *mapped) << look;
  }
}

// Children of a process that maps much take long to look at themselves. There is no time for all of
// them when they are seen for the first time, and they count all the same.
TEST_P(AttachCounterSlowTest, ForkedChildrenCountWhereTheirFirstLookIsGivenUp) {
  if (!features_.usable(KernelFeature::kProcmapQuery)) GTEST_SKIP() << "no PROCMAP_QUERY";
  constexpr std::uint64_t kChildren = 20;
  SharedPage<std::atomic<std::uint64_t>> ready;
  Gate known;
  Child parent([&] {
    map_whole();
    map_whole();
    map_apart(20000);
    ready_.open();
    if (!known.pass()) return 1;
    for (std::uint64_t i = 0; i < kChildren; ++i) {
      if (::fork() != 0) continue;
      if (i % 2 == 0) map_whole();
      ++*ready;
      ::pause();
    }
    return ::pause();
  });
  ASSERT_TRUE(ready_.pass());
  EXPECT_EQ(count(), 2U);
  known.open();
  for (int wait = 0; wait < 60000 && ready->load() < kChildren; ++wait) ::usleep(1000);
  ASSERT_EQ(ready->load(), kChildren);
  // What one attached itself is found when its own look has ended.
  EXPECT_GE(count(), 2 * (kChildren + 1)) << "the first count that sees them";
  EXPECT_GE(count(), 2 * (kChildren + 1)) << "while their looks still go on";
  const std::uint64_t all = 2 * (kChildren + 1) + kChildren / 2;
  std::uint64_t counted = 0;
  for (int look = 0; look < 500 && counted != all; ++look) {
    counted = count();
    ::usleep(10000);
  }
  EXPECT_EQ(counted, all);
}

TEST_P(AttachCounterSlowTest, WhatWasAttachedBeforeAFirstLookThatIsGivenUpCounts) {
  constexpr std::uint64_t kChildren = 12;
  SharedPage<std::atomic<std::uint64_t>> ready;
  std::vector<std::unique_ptr<Child>> children;
  for (std::uint64_t i = 0; i < kChildren; ++i) {
    children.push_back(std::make_unique<Child>([&] {
      map_much(10 * static_cast<int>(i) + 10);  // so that no two map it at the same address
      map_whole();
      map_apart(60000);
      ++*ready;
      return ::pause();
    }));
    attach_counter_.note_attach(children.back()->pid(), identity_);
  }
  for (int wait = 0; wait < 60000 && ready->load() < kChildren; ++wait) ::usleep(1000);
  ASSERT_EQ(ready->load(), kChildren);
  EXPECT_EQ(count(), kChildren) << "the first count that sees them";
  EXPECT_EQ(count(), kChildren) << "while their looks still go on";
}

// Where there is no time to look at all, a count is refused rather than guessed.
TEST_P(AttachCounterSlowTest, WhatWasNotLookedAtIsNotLeftOut) {
  AttachCounter hurried(features_, scope_, std::chrono::milliseconds(1));
  const auto count_in_a_hurry = [&] { return hurried.count_mappings({&identity_, 1}); };
  Child plain([&] {
    map_whole();
    ready_.open();
    return ::pause();
  });
  ASSERT_TRUE(ready_.pass());
  bool known = false;  // a busy machine makes even this look take long
  for (int look = 0; look < 1000 && !known; ++look) known = static_cast<bool>(count_in_a_hurry());
  ASSERT_TRUE(known);
  std::vector<std::unique_ptr<Child>> others;
  for (int i = 0; i < 3; ++i) {
    others.push_back(std::make_unique<Child>([&] {
      map_much(40000);
      ready_.open();
      return ::pause();
    }));
    ASSERT_TRUE(ready_.pass());
  }
  int refused = 0;
  int told = 0;
  for (int look = 0; look < 1000 && told < 10; ++look) {
    const auto counted = count_in_a_hurry();
    if (counted) {
      EXPECT_EQ(counted->of_files.front(), 1U);
      ++told;
    } else {
      EXPECT_EQ(counted.error(), Errno(ENOMEM));
      ++refused;
    }
    ::usleep(5000);
  }
  EXPECT_GT(refused, 0);
  EXPECT_EQ(told, 10) << "when looks in the background have ended";
}

// What is remembered of a process that takes long must not hide what it attached since then.
TEST_P(AttachCounterSlowTest, WhoTakesLongCountsFromItsAttachOn) {
  Gate known;
  Child child([&] {
    map_much(25000);
    ready_.open();
    if (!known.pass()) return 1;
    map_whole();
    ready_.open();
    return ::pause();
  });
  ASSERT_TRUE(ready_.pass());
  for (int look = 0; look < 10; ++look) EXPECT_EQ(count(), 0U);
  known.open();
  ASSERT_TRUE(ready_.pass());
  attach_counter_.note_attach(child.pid(), identity_);
  EXPECT_EQ(count(), 1U);
}

TEST_P(AttachCounterSlowTest, WhoMapsItMoreOftenThanCanBeWalkedCountsAsLastSeen) {
  Child child([&] {
    map_much(40000);
    for (int i = 0; i < 3; ++i) map_whole();
    ready_.open();
    return ::pause();
  });
  ASSERT_TRUE(ready_.pass());
  std::uint64_t counted = 0;
  for (int look = 0; look < 100 && counted != 3; ++look) {
    counted = count();
    ::usleep(20000);
  }
  EXPECT_EQ(counted, 3U);
}

// A user's processes in execs that do not end, more of them than there are threads to lose.
TEST_P(AttachCounterSlowTest, ExecsThatNeverEndLeaveThreadsToOthers) {
  constexpr uid_t kAttacker = 1000;
  constexpr int kStuck = 90;
  std::vector<std::unique_ptr<Child>> stuck;
  FileThatCannotBeClosed files;  // ends first: before, they cannot be killed
  if (!files.made()) GTEST_SKIP() << "no file system of our own";
  Gate more;
  Child bystander([&] {
    map_whole();
    ready_.open();
    if (!more.pass()) return 1;
    map_whole();
    ready_.open();
    return ::pause();
  });
  ASSERT_TRUE(ready_.pass());
  ASSERT_EQ(count(), 1U);
  for (int i = 0; i < kStuck; ++i) {
    stuck.push_back(std::make_unique<Child>([&] {
      if (::syscall(SYS_setresuid, kAttacker, kAttacker, kAttacker) != 0) return 1;
      ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
      const UniqueFd file = files.open();
      ready_.open();
      ::execl("/bin/true", "true", nullptr);
      return 2;
    }));
    ASSERT_TRUE(ready_.pass());
  }
  ::usleep(300000);  // until they are in exec
  for (int look = 0; look < 10; ++look) EXPECT_EQ(count(), 1U);
  EXPECT_GT(attach_counter_.lost(), 0) << "none is stuck";
  EXPECT_LT(2 * attach_counter_.lost(), LosableThreads::kMostLost) << "none are left to others";
  more.open();
  ASSERT_TRUE(ready_.pass());
  EXPECT_EQ(count(), 2U) << "of the bystander, who is looked at";
}

INSTANTIATE_TEST_SUITE_P(KcmpAndProc, AttachCounterSlowTest, ::testing::Values(true, false),
                         [](const auto& test) { return test.param ? "Kcmp" : "Proc"; });

}  // namespace
}  // namespace shmvisor
