#include "supervisor/attaches/attach_counter.h"

#include <sched.h>

#include <array>
#include <cstdio>
#include <thread>

#include "tests/attach_counter_fixture.h"
#include "tests/no_descriptors.h"

namespace shmvisor {
namespace {

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
