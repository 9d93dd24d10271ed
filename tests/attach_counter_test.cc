#include "supervisor/attaches/attach_counter.h"

#include <sched.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <memory>
#include <thread>
#include <vector>

#include "emulation/abi/abi.h"
#include "supervisor/scope/descendant_scope.h"
#include "tests/no_descriptors.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

constexpr std::size_t kPage = kPageBytes;

/// With kcmp(2), and by what /proc shows of a process that waits for its vfork child.
class AttachCounterTest : public ::testing::TestWithParam<bool> {
 protected:
  AttachCounterTest() : attach_counter_(features_, scope_) {
    if (!GetParam()) features_.mark_absent(KernelFeature::kKcmp);
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    file_.reset(::memfd_create("counted", MFD_CLOEXEC));
    EXPECT_EQ(::ftruncate(file_.get(), 8 * kPage), 0);
    struct stat status {};
    EXPECT_EQ(::fstat(file_.get(), &status), 0);
    identity_ = {status.st_dev, status.st_ino};
  }
  ~AttachCounterTest() override {
    // Orphans of a test come to this process.
    const auto left = scope_.processes();
    for (const pid_t pid : *left) ::kill(pid, SIGKILL);
    while (::waitpid(-1, nullptr, __WALL) > 0) {
    }
  }

  char* map_whole() {
    void* const address =
        ::mmap(nullptr, 8 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
    return address == MAP_FAILED ? nullptr : static_cast<char*>(address);
  }
  std::uint64_t count() {
    return attach_counter_.count_mappings({&identity_, 1})->of_files.front();
  }
  bool knows(pid_t pid) {
    const auto pids = scope_.processes();
    return std::find(pids->begin(), pids->end(), pid) != pids->end();
  }

  KernelFeatures features_;
  DescendantScope scope_{features_};
  AttachCounter attach_counter_;
  UniqueFd file_;
  FileIdentity identity_;
  Gate ready_;
};

TEST_P(AttachCounterTest, NobodyMapsIt) {
  const Child idle([] { return ::pause(); });
  EXPECT_EQ(count(), 0U);
}

TEST_P(AttachCounterTest, OurOwnMappingsAreNotCounted) {
  char* const ours = map_whole();
  ASSERT_NE(ours, nullptr);
  EXPECT_EQ(count(), 0U);
  EXPECT_FALSE(knows(getpid()));
  ::munmap(ours, 8 * kPage);
}

TEST_P(AttachCounterTest, EachMappingOfAProcess) {
  Child child([&] {
    map_whole();
    char* const second = map_whole();
    ::mprotect(second + kPage, kPage, PROT_READ);
    ::munmap(second + 4 * kPage, kPage);
    ready_.open();
    return ::pause();
  });
  ASSERT_TRUE(ready_.pass());
  EXPECT_TRUE(knows(child.pid()));
  EXPECT_EQ(count(), 5U) << "one, and three with a hole that makes them four";
  ::kill(child.pid(), SIGKILL);
  ASSERT_TRUE(child.wait(0));
  EXPECT_EQ(count(), 0U);
}

TEST_P(AttachCounterTest, AForkIsAnAddressSpaceOfItsOwn) {
  Child child([&] {
    map_whole();
    if (::fork() == 0) {
      ready_.open();
      ::pause();
    }
    return ::pause();
  });
  ASSERT_TRUE(ready_.pass());
  EXPECT_EQ(count(), 2U);
}

TEST_P(AttachCounterTest, AVforkChildSharesItsParents) {
  Child child([&] {
    map_whole();
    // vfork(2), but for the child's freedom to wait.
    if (::syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0) == 0) {
      ready_.open();
      for (;;) ::pause();
    }
    return 0;
  });
  ASSERT_TRUE(ready_.pass());
  EXPECT_EQ(count(), 1U);
}

TEST_P(AttachCounterTest, ThreadsAreOneProcess) {
  Child child([&] {
    map_whole();
    std::thread([&] {
      ready_.open();
      ::pause();
    }).join();
    return 0;
  });
  ASSERT_TRUE(ready_.pass());
  EXPECT_EQ(count(), 1U);
}

TEST_P(AttachCounterTest, AProcessOutlivesItsFirstThread) {
  Child child([&] {
    map_whole();
    std::thread([&] {
      // Until the first thread is gone; its state in /proc is then a zombie's.
      for (;;) {
        std::array<char, 512> text{};
        const UniqueFd stat(::open("/proc/self/stat", O_RDONLY | O_CLOEXEC));
        if (::read(stat.get(), text.data(), text.size() - 1) > 0 &&
            std::string(text.data()).find(") Z ") != std::string::npos) {
          break;
        }
        ::usleep(1000);
      }
      ready_.open();
      ::pause();
    }).detach();
    ::syscall(SYS_exit, 0);
    return 0;
  });
  ASSERT_TRUE(ready_.pass());
  EXPECT_EQ(count(), 1U);
}

TEST_P(AttachCounterTest, OrphansStayOurs) {
  SharedPage<pid_t> orphan;
  Child child([&] {
    const pid_t pid = ::fork();
    if (pid == 0) {
      map_whole();
      ready_.open();
      ::pause();
    }
    *orphan = pid;
    return 0;
  });
  ASSERT_TRUE(ready_.pass());
  EXPECT_EQ(exit_status_of(child), 0);
  EXPECT_TRUE(knows(*orphan));
  EXPECT_EQ(count(), 1U);
}

// A name that looks like the fields behind it.
TEST_P(AttachCounterTest, ANameThatLies) {
  Child child([&] {
    ::prctl(PR_SET_NAME, "x) R 1 1 1");
    map_whole();
    ready_.open();
    return ::pause();
  });
  ASSERT_TRUE(ready_.pass());
  EXPECT_TRUE(knows(child.pid()));
  EXPECT_EQ(count(), 1U);
}

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

TEST_P(AttachCounterTest, WhoMapsMuchElseKeepsNobodyWaiting) {
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
TEST_P(AttachCounterTest, ManyWhoTakeLongAndMapItKeepNobodyWaiting) {
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

// Where there is no time to look at all, a count is refused rather than guessed.
TEST_P(AttachCounterTest, WhatWasNotLookedAtIsNotLeftOut) {
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
TEST_P(AttachCounterTest, WhoTakesLongCountsFromItsAttachOn) {
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

TEST_P(AttachCounterTest, WhoMapsItMoreOftenThanCanBeWalkedCountsAsLastSeen) {
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

INSTANTIATE_TEST_SUITE_P(KcmpAndProc, AttachCounterTest, ::testing::Values(true, false),
                         [](const auto& test) { return test.param ? "Kcmp" : "Proc"; });

// Natively nobody ever finds 0 where a segment is mapped: programs take it over then.
TEST_P(AttachCounterTest, WhereNobodyCanBeLookedAtThereIsNoCount) {
  Child child([this] { return map_whole() == nullptr ? 1 : ::pause(); });
  while (count() != 1) ::usleep(1000);
  {
    const NoDescriptors none;
    const auto counted = attach_counter_.count_mappings({&identity_, 1});
    ASSERT_FALSE(counted);
    EXPECT_EQ(counted.error(), Errno(ENOMEM));
  }
  EXPECT_EQ(count(), 1U);
}

}  // namespace
}  // namespace shmvisor
