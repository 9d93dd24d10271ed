// Processes at rest, which a count does not look at; and counts that wait for one process alone.
#include <sched.h>

#include <array>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "supervisor/attaches/kept_maps.h"
#include "supervisor/procfs/switch_count.h"
#include "tests/attach_counter_fixture.h"

namespace shmvisor {
namespace {

class RestingTest : public AttachCounterTest {
 protected:
  /// Counts until the process is known to be at rest. False where it is not after many counts.
  bool comes_to_rest(pid_t pid) {
    for (int look = 0; look < 100; ++look) {
      (void)count();
      if (KeptMaps::all().at_rest(pid, identity_)) return true;
    }
    return false;
  }
  std::optional<std::uint64_t> at_once(pid_t waiting) {
    // One that could not leaves some of the next out.
    for (int tries = 0; tries < 16; ++tries) {
      if (const auto counted = attach_counter_.count_at_once(identity_, waiting)) return counted;
    }
    return std::nullopt;
  }
};

/// A child that maps the file once, and then does as it is told.
class Mapper {
 public:
  enum class Step : char { kMap = 'm', kDuplicate = 'd', kSplit = 's', kJoin = 'j', kUnmap = 'u' };

  explicit Mapper(std::function<char*()> map)
      : child_([this, map] {
          char* first = map();
          char* more = nullptr;
          done_.open();
          for (;;) {
            char step = 0;
            if (!pass(step)) return 1;
            switch (static_cast<Step>(step)) {
              case Step::kMap:
                more = map();
                break;
              case Step::kDuplicate:
                more = static_cast<char*>(::mremap(first, 0, 8 * kPage, MREMAP_MAYMOVE));
                break;
              case Step::kSplit:
                ::mprotect(first + kPage, kPage, PROT_READ);
                break;
              case Step::kJoin:
                ::mprotect(first + kPage, kPage, PROT_READ | PROT_WRITE);
                break;
              case Step::kUnmap:
                ::munmap(more, 8 * kPage);
                break;
            }
            done_.open();
          }
        }) {}

  [[nodiscard]] pid_t pid() const { return child_.pid(); }
  bool is_ready() { return done_.pass(); }
  bool does(Step step) {
    const char letter = static_cast<char>(step);
    return ::write(steps_[1], &letter, 1) == 1 && done_.pass();
  }

 private:
  bool pass(char& step) { return ::read(steps_[0], &step, 1) == 1; }

  std::array<int, 2> steps_ = [] {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    return ends;
  }();
  Gate done_;
  Child child_;
};

TEST_P(RestingTest, WhatAProcessDoesThatWasAtRestIsSeen) {
  using Step = Mapper::Step;
  Mapper mapper([this] { return map_whole(); });
  ASSERT_TRUE(mapper.is_ready());
  EXPECT_EQ(comes_to_rest(mapper.pid()), GetParam()) << "without kcmp(2) none does";
  EXPECT_EQ(count(), 1U);
  const std::vector<std::pair<Step, std::uint64_t>> steps = {
      {Step::kMap, 2},   {Step::kUnmap, 1}, {Step::kDuplicate, 2},
      {Step::kSplit, 4}, {Step::kJoin, 2},  {Step::kUnmap, 1}};
  for (const auto& [step, mappings] : steps) {
    ASSERT_TRUE(mapper.does(step));
    EXPECT_EQ(count(), mappings);
    EXPECT_EQ(comes_to_rest(mapper.pid()), GetParam());
    EXPECT_EQ(count(), mappings);
  }
}

// Counts between steps are so many that each stage on the way to rest is met.
TEST_P(RestingTest, EveryCountIsTrueOnTheWay) {
  using Step = Mapper::Step;
  std::vector<std::unique_ptr<Mapper>> mappers;
  for (int i = 0; i < 3; ++i) {
    mappers.push_back(std::make_unique<Mapper>([this] { return map_whole(); }));
    ASSERT_TRUE(mappers.back()->is_ready());
  }
  std::vector<bool> twice(mappers.size(), false);
  std::uint64_t expected = mappers.size();
  unsigned random = 1;
  for (int round = 0; round < 400; ++round) {
    random = random * 1103515245 + 12345;
    const std::size_t which = (random >> 16) % mappers.size();
    const Step step = twice[which] ? Step::kUnmap : Step::kDuplicate;
    twice[which] = !twice[which];
    expected += twice[which] ? 1 : -1;
    ASSERT_TRUE(mappers[which]->does(step));
    for (unsigned look = 0; look <= (random >> 20) % 12; ++look) {
      ASSERT_EQ(count(), expected) << "round " << round;
    }
  }
}

TEST_P(RestingTest, AProcessThatRunsOrHasThreadsIsNot) {
  Child runs([&] {
    map_whole();
    ready_.open();
    for (volatile bool ever = true; ever;) {
    }
    return 0;
  });
  ASSERT_TRUE(ready_.pass());
  Child has_threads([&] {
    map_whole();
    std::thread([&] {
      ready_.open();
      ::pause();
    }).join();
    return 0;
  });
  ASSERT_TRUE(ready_.pass());
  EXPECT_FALSE(comes_to_rest(runs.pid()));
  EXPECT_FALSE(KeptMaps::all().at_rest(has_threads.pid(), identity_));
  EXPECT_EQ(count(), 2U);
}

// Another process changes what it maps, while it does not run.
TEST_P(RestingTest, AProcessThatSharesItsAddressSpaceIsNot) {
  static std::array<char, 65536> stack;
  static Gate go;
  static Gate done;
  Child child([&] {
    static char* const mapped = map_whole();
    const auto unmap = [](void*) {
      if (!go.pass()) return 1;
      ::munmap(mapped, 8 * kPage);
      done.open();
      for (;;) ::pause();
      return 0;
    };
    if (::clone(unmap, stack.data() + stack.size(), CLONE_VM | SIGCHLD, nullptr) < 0) return 1;
    ready_.open();
    return ::pause();
  });
  ASSERT_TRUE(ready_.pass());
  EXPECT_FALSE(comes_to_rest(child.pid()));
  go.open();
  ASSERT_TRUE(done.pass());
  EXPECT_EQ(count(), GetParam() ? 0U : count());
}

// It need not be looked at while it maps the file; but another process may attach it there, and
// end.
TEST_P(RestingTest, WhatAProcessThatIsGoneHasMappedElsewhereIsSeen) {
  static std::array<char, 65536> stack;
  static Gate go;
  Child child([&] {
    static const std::function<char*()> map_it = [this] { return map_whole(); };
    const auto map = [](void*) {
      if (!go.pass()) return 1;
      return map_it() == nullptr ? 1 : 0;
    };
    ::signal(SIGCHLD, SIG_IGN);
    if (::clone(map, stack.data() + stack.size(), CLONE_VM | SIGCHLD, nullptr) < 0) return 1;
    ready_.open();
    for (;;) ::pause();
    return 0;
  });
  ASSERT_TRUE(ready_.pass());
  EXPECT_FALSE(comes_to_rest(child.pid()));
  EXPECT_EQ(count(), 0U);
  go.open();
  for (int wait = 0; wait < 2000 && count() == 0; ++wait) ::usleep(1000);
  for (int look = 0; look < 20; ++look) EXPECT_EQ(count(), GetParam() ? 1U : count());
}

TEST_P(RestingTest, AChildOfOneThatWasAtRestIsCounted) {
  Gate go;
  Child child([&] {
    map_whole();
    ready_.open();
    if (!go.pass()) return 1;
    if (::fork() == 0) ready_.open();
    return ::pause();
  });
  ASSERT_TRUE(ready_.pass());
  EXPECT_EQ(comes_to_rest(child.pid()), GetParam());
  go.open();
  ASSERT_TRUE(ready_.pass());
  for (int look = 0; look < 20; ++look) EXPECT_EQ(count(), 2U);
}

TEST_P(RestingTest, TheEndOfOneThatWasAtRestIsSeen) {
  Child child([&] {
    map_whole();
    ready_.open();
    return ::pause();
  });
  ASSERT_TRUE(ready_.pass());
  EXPECT_EQ(comes_to_rest(child.pid()), GetParam());
  EXPECT_EQ(count(), 1U);
  ::kill(child.pid(), SIGKILL);
  ASSERT_TRUE(child.wait(0));
  EXPECT_EQ(count(), 0U);
}

TEST_P(RestingTest, ACountWaitsForOneProcessAlone) {
  Mapper first([this] { return map_whole(); });
  ASSERT_TRUE(first.is_ready());
  EXPECT_EQ(at_once(first.pid()), 1U);
  ASSERT_TRUE(first.does(Mapper::Step::kDuplicate));
  EXPECT_EQ(at_once(first.pid()), 2U);
  EXPECT_EQ(at_once(0), std::nullopt) << "no process that waits is known";
  EXPECT_EQ(at_once(getpid()), std::nullopt) << "one that is not served";
  Mapper second([this] { return map_whole(); });
  ASSERT_TRUE(second.is_ready());
  EXPECT_EQ(at_once(first.pid()), std::nullopt) << "the other was never looked at";
  if (!GetParam()) return;
  ASSERT_TRUE(comes_to_rest(second.pid()));
  EXPECT_EQ(at_once(first.pid()), 3U);
  ASSERT_TRUE(second.does(Mapper::Step::kDuplicate));
  EXPECT_EQ(at_once(first.pid()), std::nullopt) << "the other has run";
  EXPECT_EQ(count(), 4U);
}

// The map that was kept shows what another process still has.
TEST_P(RestingTest, ACountAtOnceSeesAnExec) {
  Gate go;
  Child child([&] {
    map_whole();
    ready_.open();
    if (!go.pass()) return 1;
    ::execl("/bin/sleep", "sleep", "1000", nullptr);
    return 1;
  });
  ASSERT_TRUE(ready_.pass());
  for (int look = 0; look < 3; ++look) EXPECT_EQ(at_once(child.pid()), 1U);
  go.open();
  for (int wait = 0; wait < 5000 && at_once(child.pid()); ++wait) ::usleep(1000);
  EXPECT_EQ(at_once(child.pid()), std::nullopt) << "nothing is mapped: count_mappings() tells";
  EXPECT_EQ(count(), 0U);
}

TEST(SwitchCountTest, GrowsWhenTheProcessRuns) {
  Gate go;
  Gate done;
  Child child([&] {
    while (go.pass()) done.open();
    return 1;
  });
  go.open();
  ASSERT_TRUE(done.pass());
  const auto count = SwitchCount::open(child.pid());
  if (!count) GTEST_SKIP() << "the kernel does not count";
  for (int round = 0; round < 50; ++round) {
    // It has done its work, but may be on its way to sleep.
    while (!was_off_cpu(child.pid())) ::usleep(100);
    const auto before = count->read();
    ::usleep(1000);
    EXPECT_EQ(count->read(), before);
    go.open();
    ASSERT_TRUE(done.pass());
    EXPECT_NE(count->read(), before);
  }
  EXPECT_TRUE(has_one_thread(child.pid()));
  ::kill(child.pid(), SIGKILL);
  ASSERT_TRUE(child.wait(0));
  EXPECT_EQ(count->read(), std::nullopt);
}

TEST(SwitchCountTest, AProcessThatRunsIsNotOff) {
  Child child([&] {
    for (volatile bool ever = true; ever;) {
    }
    return 0;
  });
  EXPECT_FALSE(was_off_cpu(child.pid()));
  EXPECT_FALSE(SwitchCount::open(child.pid() + 100000));
}

INSTANTIATE_TEST_SUITE_P(WithAndWithoutKcmp, RestingTest, ::testing::Bool());

}  // namespace
}  // namespace shmvisor
