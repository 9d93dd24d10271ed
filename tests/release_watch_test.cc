#include "supervisor/memory/release_watch.h"

#include <poll.h>
#include <sys/resource.h>

#include <algorithm>

#include "emulation/abi/abi.h"
#include "supervisor/memory/memfd_memory.h"
#include "supervisor/scope/descendant_scope.h"
#include "tests/failing_memory.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kPage = kPageBytes;

class ReleaseWatchTest : public ::testing::Test {
 protected:
  std::unique_ptr<MemfdMemory> make() {
    BackingRequest request;
    request.name = "SYSV00000000";
    request.size_bytes = kPage;
    auto memory = MemfdMemory::create(request, kPage, MemoryCharges(), lock_keeper_, features_);
    EXPECT_TRUE(memory);
    return std::move(*memory);
  }
  static void* attach(MemfdMemory& memory) {
    auto file = memory.open(kAnyAccess);
    EXPECT_TRUE(file);
    return ::mmap(nullptr, kPage, PROT_READ, MAP_SHARED, file->fd.get(), 0);
  }
  static bool readable(int fd) {
    pollfd waiting{fd, POLLIN, 0};
    return ::poll(&waiting, 1, 0) == 1;
  }

  KernelFeatures features_;
  DescendantScope scope_{features_};
  LockKeeper lock_keeper_{std::chrono::milliseconds(5)};
};

using Files = std::vector<FileIdentity>;
constexpr std::chrono::milliseconds kOnce(0);

TEST_F(ReleaseWatchTest, TheLastMappingIsToldAtOnce) {
  ReleaseEvents events(features_);
  ReleaseWatch watch(events, kOnce);
  if (watch.fd() < 0) GTEST_SKIP() << "no inotify instance to be had";
  const auto memory = make();
  void* const address = attach(*memory);
  watch.add(memory->identity(), memory->path());
  EXPECT_FALSE(watch.needs_polling());
  EXPECT_FALSE(readable(watch.fd()));
  EXPECT_EQ(watch.take(), Files{});
  ::munmap(address, kPage);
  EXPECT_TRUE(readable(watch.fd()));
  EXPECT_EQ(watch.take(), Files{memory->identity()});
  EXPECT_EQ(watch.take(), Files{}) << "once";
  EXPECT_FALSE(readable(watch.fd()));
}

TEST_F(ReleaseWatchTest, NoEventIsLostWithoutMemory) {
  for (int allocations = 0; allocations < 4; ++allocations) {
    ReleaseEvents events(features_);
    ReleaseWatch watch(events, kOnce);
    if (watch.fd() < 0) GTEST_SKIP() << "no inotify instance to be had";
    const auto memory = make();
    const auto other = make();
    void* const address = attach(*memory);
    watch.add(memory->identity(), memory->path());
    watch.add(other->identity(), other->path());
    ::munmap(address, kPage);
    {
      const FailingMemory scarce(allocations);
      events.pump();
    }
    EXPECT_TRUE(watch.has_news());
    {
      const FailingMemory scarce(0);
      EXPECT_THROW((void)watch.take(), std::bad_alloc);
    }
    const Files released = watch.take();
    EXPECT_NE(std::ranges::find(released, memory->identity()), released.end());
  }
}

TEST_F(ReleaseWatchTest, WhatCannotBeWatchedIsNotHalfWatched) {
  for (int allocations = 0; allocations < 20; ++allocations) {
    ReleaseEvents events(features_);
    ReleaseWatch watch(events, kOnce);
    if (watch.fd() < 0) GTEST_SKIP() << "no inotify instance to be had";
    const auto memory = make();
    void* const address = attach(*memory);
    const std::string path = memory->path();
    bool watched = false;
    {
      const FailingMemory scarce(allocations);
      try {
        watch.add(memory->identity(), path);
        watched = true;
      } catch (const std::bad_alloc&) {
        watched = false;
      }
    }
    ::munmap(address, kPage);
    EXPECT_EQ(watch.take(), watched ? Files{memory->identity()} : Files{});
    if (watched) return;
  }
  FAIL() << "it is never watched";
}

TEST_F(ReleaseWatchTest, ReadOnlyAttachesTooAndByWhicheverEnd) {
  ReleaseEvents events(features_);
  ReleaseWatch watch(events, kOnce);
  if (watch.fd() < 0) GTEST_SKIP() << "no inotify instance to be had";
  const auto memory = make();
  watch.add(memory->identity(), memory->path());
  for (const int signal_number : {0, SIGKILL}) {
    Gate ready;
    Child child([&] {
      auto file = memory->open(kReadExecute);
      ::mmap(nullptr, kPage, PROT_READ, MAP_SHARED, file->fd.get(), 0);
      file->fd.reset();
      ready.open();
      return signal_number == 0 ? 0 : ::pause();
    });
    ASSERT_TRUE(ready.pass());
    if (signal_number != 0) ::kill(child.pid(), signal_number);
    ASSERT_TRUE(child.wait(0));
    EXPECT_EQ(watch.take(), Files{memory->identity()}) << "signal " << signal_number;
  }
}

// The one that is asked may have been too early: a description is told of before it is closed.
TEST_F(ReleaseWatchTest, ToldAgainForAWhile) {
  ReleaseEvents events(features_);
  ReleaseWatch watch(events, std::chrono::hours(1));
  if (watch.fd() < 0) GTEST_SKIP() << "no inotify instance to be had";
  int needs = 0;
  watch.tell_of_need([&needs] { ++needs; });
  const auto memory = make();
  watch.add(memory->identity(), memory->path());
  EXPECT_FALSE(watch.needs_polling());
  ::munmap(attach(*memory), kPage);
  EXPECT_EQ(watch.take(), Files{memory->identity()});
  EXPECT_EQ(needs, 1) << "whoever looks regularly must begin to";
  EXPECT_EQ(watch.take(), Files{memory->identity()});
  EXPECT_TRUE(watch.needs_polling());
  watch.remove(memory->identity());
  EXPECT_EQ(watch.take(), Files{}) << "until it is found released";
  EXPECT_FALSE(watch.needs_polling());
}

TEST_F(ReleaseWatchTest, OnlyWhatIsWatched) {
  ReleaseEvents events(features_);
  ReleaseWatch watch(events, kOnce);
  if (watch.fd() < 0) GTEST_SKIP() << "no inotify instance to be had";
  const auto one = make();
  const auto two = make();
  const auto three = make();
  for (const auto* memory : {&one, &two}) watch.add((*memory)->identity(), (*memory)->path());
  watch.remove(one->identity());
  for (const auto* memory : {&one, &two, &three}) ::munmap(attach(**memory), kPage);
  EXPECT_EQ(watch.take(), Files{two->identity()});
  watch.remove(two->identity());
  watch.remove(two->identity());
  ::munmap(attach(*two), kPage);
  EXPECT_EQ(watch.take(), Files{});
}

TEST_F(ReleaseWatchTest, WhatWasRemovedInBetweenIsNotNamed) {
  ReleaseEvents events(features_);
  ReleaseWatch watch(events, kOnce);
  if (watch.fd() < 0) GTEST_SKIP() << "no inotify instance to be had";
  const auto memory = make();
  watch.add(memory->identity(), memory->path());
  ::munmap(attach(*memory), kPage);
  watch.remove(memory->identity());
  EXPECT_EQ(watch.take(), Files{});
}

TEST_F(ReleaseWatchTest, ManyAtATime) {
  ReleaseEvents events(features_);
  ReleaseWatch watch(events, kOnce);
  if (watch.fd() < 0) GTEST_SKIP() << "no inotify instance to be had";
  std::vector<std::unique_ptr<MemfdMemory>> memories;
  std::size_t expected = 0;
  for (int count = 0; count < 300; ++count) {
    memories.push_back(make());
    watch.add(memories.back()->identity(), memories.back()->path());
  }
  for (std::size_t at = 0; at < memories.size(); at += 2) {
    ::munmap(attach(*memories[at]), kPage);
    ++expected;
  }
  EXPECT_EQ(watch.take().size(), expected);
}

TEST_F(ReleaseWatchTest, WithoutInotifyEverythingIsNamedEveryTime) {
  features_.mark_absent(KernelFeature::kInotify);
  ReleaseEvents events(features_);
  ReleaseWatch watch(events, kOnce);
  EXPECT_EQ(watch.fd(), -1);
  EXPECT_FALSE(watch.needs_polling()) << "nothing is watched yet";
  int needs = 0;
  watch.tell_of_need([&needs] { ++needs; });
  const auto one = make();
  const auto two = make();
  watch.add(one->identity(), one->path());
  watch.add(two->identity(), two->path());
  EXPECT_EQ(needs, 1) << "when the first came";
  EXPECT_TRUE(watch.needs_polling());
  EXPECT_EQ(watch.take(), (Files{one->identity(), two->identity()}));
  EXPECT_EQ(watch.take(), (Files{one->identity(), two->identity()}));
  watch.remove(one->identity());
  EXPECT_EQ(watch.take(), Files{two->identity()});
  watch.remove(two->identity());
  EXPECT_FALSE(watch.needs_polling());
}

// A watch that the kernel refuses (fs.inotify.max_user_watches) is polled beside the others.
TEST_F(ReleaseWatchTest, ARefusedWatchIsPolled) {
  ReleaseEvents events(features_);
  ReleaseWatch watch(events, kOnce);
  if (watch.fd() < 0) GTEST_SKIP() << "no inotify instance to be had";
  const auto memory = make();
  const auto refused = make();
  watch.add(memory->identity(), memory->path());
  watch.add(refused->identity(), "/nowhere/at/all");
  EXPECT_TRUE(watch.needs_polling());
  EXPECT_EQ(watch.take(), Files{refused->identity()});
  ::munmap(attach(*memory), kPage);
  EXPECT_EQ(watch.take(), (Files{memory->identity(), refused->identity()}));
}

TEST_F(ReleaseWatchTest, NoInstanceIsRemembered) {
  Child child([&] {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_NOFILE, &none);
    ReleaseEvents events(features_);
    const ReleaseWatch watch(events, kOnce);
    return watch.fd() == -1 && !features_.usable(KernelFeature::kInotify) ? 0 : 1;
  });
  EXPECT_EQ(exit_status_of(child), 0);
}

}  // namespace
}  // namespace shmvisor
