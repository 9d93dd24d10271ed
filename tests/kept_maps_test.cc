// Memory maps that stay open between counts: what they save, and that counts stay true.
#include "supervisor/attaches/kept_maps.h"

#include <sched.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/attach_counter_fixture.h"

namespace shmvisor {
namespace {

class KeptMapsTest : public AttachCounterTest {
 protected:
  /// Counts until all maps that can be kept are kept, and are believed.
  std::uint64_t count_often() {
    std::uint64_t counted = 0;
    for (int look = 0; look < 3; ++look) counted = count();
    return counted;
  }
  static std::int64_t kept() { return KeptMaps::all().count(); }
};

TEST_P(KeptMapsTest, WhatAProcessDoesToItsMappingsIsSeen) {
  Gate go;
  Gate done;
  Child child([&] {
    char* const first = map_whole();
    ready_.open();
    for (int step = 0; go.pass(); ++step) {
      if (step == 0) map_whole();
      if (step == 1) (void)::mremap(first, 0, kPage, MREMAP_MAYMOVE);
      if (step == 2) ::mprotect(first + kPage, kPage, PROT_READ);
      if (step == 3) ::munmap(first, 8 * kPage);
      done.open();
    }
    return 1;
  });
  ASSERT_TRUE(ready_.pass());
  EXPECT_EQ(count_often(), 1U);
  EXPECT_GE(kept(), 1);
  for (const std::uint64_t mappings : {2U, 3U, 5U, 2U}) {
    go.open();
    ASSERT_TRUE(done.pass());
    EXPECT_EQ(count(), mappings);
  }
}

TEST_P(KeptMapsTest, AChildThatIsBornIsCounted) {
  Gate go;
  Child child([&] {
    map_whole();
    ready_.open();
    if (!go.pass()) return 1;
    if (::fork() == 0) ready_.open();
    return ::pause();
  });
  ASSERT_TRUE(ready_.pass());
  EXPECT_EQ(count_often(), 1U);
  go.open();
  ASSERT_TRUE(ready_.pass());
  EXPECT_EQ(count(), 2U);
  EXPECT_EQ(count_often(), 2U);
}

TEST_P(KeptMapsTest, AnExecIsSeen) {
  Gate go;
  Child child([&] {
    map_whole();
    ready_.open();
    if (!go.pass()) return 1;
    ::execl("/bin/sleep", "sleep", "1000", nullptr);
    return 1;
  });
  ASSERT_TRUE(ready_.pass());
  EXPECT_EQ(count_often(), 1U);
  go.open();
  for (int wait = 0; wait < 5000 && count() != 0; ++wait) ::usleep(1000);
  EXPECT_EQ(count_often(), 0U);
}

// The kept map of the process that made the exec still shows them.
TEST_P(KeptMapsTest, WhatAnExecLeavesToASharingChildIsCountedOnce) {
  static std::array<char, 65536> stack;
  Gate go;
  Child child([&] {
    map_whole();
    ready_.open();
    if (!go.pass()) return 1;
    const auto stay = [](void*) {
      for (;;) ::pause();
      return 0;
    };
    if (::clone(stay, stack.data() + stack.size(), CLONE_VM | SIGCHLD, nullptr) < 0) return 1;
    ::execl("/bin/sleep", "sleep", "1000", nullptr);
    return 1;
  });
  ASSERT_TRUE(ready_.pass());
  EXPECT_EQ(count_often(), 1U);
  go.open();
  struct stat sleep {};
  struct stat its {};
  ASSERT_EQ(::stat("/bin/sleep", &sleep), 0);
  const std::string program = "/proc/" + std::to_string(child.pid()) + "/exe";
  while (::stat(program.c_str(), &its) == 0 && its.st_ino != sleep.st_ino) ::usleep(1000);
  for (int look = 0; look < 5; ++look) EXPECT_EQ(count(), 1U);
}

// Other processes map and unmap while several threads ask the same open maps.
TEST_P(KeptMapsTest, SeveralCountsUseThemAtATime) {
  Child steady([&] {
    map_whole();
    ready_.open();
    return ::pause();
  });
  ASSERT_TRUE(ready_.pass());
  Child busy([&] {
    map_whole();
    ready_.open();
    for (;;) {
      char* const more = map_whole();
      ::munmap(more, 8 * kPage);
    }
    return 0;
  });
  ASSERT_TRUE(ready_.pass());
  std::vector<std::thread> askers;
  std::atomic<int> wrong = 0;
  for (int asker = 0; asker < 3; ++asker) {
    askers.emplace_back([&] {
      for (int look = 0; look < 100; ++look) {
        const std::uint64_t counted = count();
        if (counted < 2 || counted > 3) ++wrong;
      }
    });
  }
  for (std::thread& asker : askers) asker.join();
  EXPECT_EQ(wrong, 0);
}

TEST_P(KeptMapsTest, ThoseThatNobodyAsksAreClosed) {
  Child child([&] {
    map_whole();
    ready_.open();
    return ::pause();
  });
  ASSERT_TRUE(ready_.pass());
  EXPECT_EQ(count_often(), 1U);
  EXPECT_GE(kept(), 1);
  for (int wait = 0; wait < 500 && kept() != 0; ++wait) ::usleep(10'000);
  EXPECT_EQ(kept(), 0);
  EXPECT_EQ(count_often(), 1U);
  EXPECT_GE(kept(), 1) << "and again";
}

INSTANTIATE_TEST_SUITE_P(KcmpAndProc, KeptMapsTest, ::testing::Values(true, false),
                         [](const auto& test) { return test.param ? "Kcmp" : "Proc"; });

class KeptMapsAloneTest : public ::testing::Test {
 protected:
  /// Of a process that was looked at just before.
  void keep(pid_t pid, KeptMaps::MapPointer map) {
    maps_.keep(pid, open());
    maps_.keep(pid, std::move(map));
  }
  KeptMaps::MapPointer open() { return *maps_.open(getpid(), KernelFeatures(), nullptr); }

  KeptMaps maps_{2};
};

TEST_F(KeptMapsAloneTest, OneIsKeptFromTheSecondLookOn) {
  maps_.keep(1, open());
  EXPECT_EQ(maps_.of(1), nullptr);
  maps_.keep(1, open());
  EXPECT_NE(maps_.of(1), nullptr);
}

TEST_F(KeptMapsAloneTest, AMapFromBeforeADropIsNotKept) {
  auto before = open();
  keep(1, open());
  ASSERT_NE(maps_.of(1), nullptr);
  EXPECT_EQ(maps_.of(1)->inode(), before->map().inode());
  maps_.drop(1);
  EXPECT_EQ(maps_.of(1), nullptr);
  keep(1, std::move(before));
  EXPECT_NE(maps_.of(1), nullptr) << "by the look before";
  maps_.drop(1);
  before = open();
  maps_.drop(2);
  maps_.keep(1, std::move(before));
  EXPECT_EQ(maps_.of(1), nullptr) << "a process has attached something since it was opened";
}

TEST_F(KeptMapsAloneTest, NoMoreAreKeptThanAllowed) {
  for (const pid_t pid : {1, 2, 3}) keep(pid, open());
  EXPECT_EQ(maps_.count(), 2);
  EXPECT_EQ(maps_.of(3), nullptr);
  maps_.drop(1);
  keep(3, open());
  EXPECT_NE(maps_.of(3), nullptr);
}

}  // namespace
}  // namespace shmvisor
