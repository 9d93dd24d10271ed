#include "supervisor/attaches/counted_spaces.h"

#include <sched.h>
#include <sys/stat.h>

#include <array>
#include <csignal>
#include <list>
#include <string>
#include <vector>

#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

class CountedSpacesTest : public ::testing::Test {
 protected:
  static CountedSpaces::Space space_of(pid_t pid) {
    struct stat maps {};
    ::stat(("/proc/" + std::to_string(pid) + "/maps").c_str(), &maps);
    return {pid, maps.st_ino, {{4096}}};
  }
  /// Whether it is counted.
  static bool count(CountedSpaces& spaces, pid_t pid) {
    auto order = spaces.place_of(space_of(pid));
    if (!order) return false;
    spaces.add(space_of(pid), std::move(*order));
    return true;
  }
  pid_t fork_one() {
    children_.emplace_back([] { return ::pause(); });
    return children_.back().pid();
  }
  /// A process that shares our address space.
  static pid_t share_ours() {
    static std::array<char, 65536> stack;
    const auto wait_for_end = [](void*) {
      for (;;) ::pause();
      return 0;
    };
    return ::clone(wait_for_end, stack.data() + stack.size(), CLONE_VM | SIGCHLD, nullptr);
  }
  static void end(pid_t pid) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }

  std::list<Child> children_;
};

TEST_F(CountedSpacesTest, ASharedOneIsCountedOnce) {
  CountedSpaces spaces(KernelFeatures(), nullptr);
  const pid_t sharing = share_ours();
  EXPECT_TRUE(count(spaces, fork_one()));
  EXPECT_TRUE(count(spaces, getpid()));
  EXPECT_TRUE(count(spaces, fork_one()));
  EXPECT_FALSE(count(spaces, sharing));
  end(sharing);
}

TEST_F(CountedSpacesTest, WhatIsKnownToBeDistinctIsNotComparedAgain) {
  CountedSpaces first(KernelFeatures(), nullptr);
  std::vector<pid_t> pids{getpid()};
  for (int child = 0; child < 9; ++child) pids.push_back(fork_one());
  for (const pid_t pid : pids) EXPECT_TRUE(count(first, pid));
  const auto distinct = first.newly_distinct();
  ASSERT_TRUE(distinct);
  EXPECT_EQ(distinct->members.size(), pids.size());

  CountedSpaces again(KernelFeatures(), distinct);
  for (const pid_t pid : pids) {
    const auto order = again.place_of(space_of(pid));
    ASSERT_TRUE(order);
    EXPECT_TRUE(order->spaces.empty()) << "it was compared";
    again.add(space_of(pid), *order);
  }
  EXPECT_EQ(again.newly_distinct(), nullptr) << "that is known";
  // A new process is compared with all of them, and is known from then on.
  const pid_t sharing = share_ours();
  EXPECT_FALSE(count(again, sharing));
  end(sharing);
  const pid_t born = fork_one();
  EXPECT_TRUE(count(again, born));
  const auto more = again.newly_distinct();
  ASSERT_TRUE(more);
  EXPECT_EQ(more->members.size(), pids.size() + 1);
  EXPECT_TRUE(more->members.contains(born));
}

/// Its place in the order of kcmp(2) is another one then.
TEST_F(CountedSpacesTest, AfterAnExecItIsFoundAgain) {
  std::vector<pid_t> pids;
  std::list<Gate> gates;
  for (int child = 0; child < 8; ++child) {
    Gate& go = gates.emplace_back();
    children_.emplace_back([&go] {
      if (!go.pass()) return 1;
      ::execl("/bin/sleep", "sleep", "1000", nullptr);
      return 1;
    });
    pids.push_back(children_.back().pid());
  }
  CountedSpaces first(KernelFeatures(), nullptr);
  for (const pid_t pid : pids) EXPECT_TRUE(count(first, pid));
  for (Gate& go : gates) go.open();
  for (const pid_t pid : pids) {
    struct stat own {};
    struct stat its {};
    ASSERT_EQ(::stat("/bin/sleep", &own), 0);
    while (::stat(("/proc/" + std::to_string(pid) + "/exe").c_str(), &its) == 0 &&
           its.st_ino != own.st_ino) {
      ::usleep(1000);
    }
  }
  CountedSpaces again(KernelFeatures(), first.newly_distinct());
  for (const pid_t pid : pids) EXPECT_TRUE(count(again, pid));
  EXPECT_TRUE(count(again, getpid()));
  // All are in their order: each is found.
  for (const pid_t pid : pids) EXPECT_FALSE(count(again, pid));
  EXPECT_FALSE(count(again, getpid()));
}

TEST_F(CountedSpacesTest, AnEndedProcessProvesNothing) {
  CountedSpaces spaces(KernelFeatures(), nullptr);
  const pid_t ended = fork_one();
  EXPECT_TRUE(count(spaces, ended));
  ::kill(ended, SIGKILL);
  ASSERT_TRUE(children_.back().wait(0));
  EXPECT_TRUE(count(spaces, getpid()));
  EXPECT_EQ(spaces.newly_distinct(), nullptr);
}

}  // namespace
}  // namespace shmvisor
