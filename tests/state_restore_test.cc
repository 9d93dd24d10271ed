// What the next server makes of the state: the registries are those that the dead one had, around
// the same memory; and what happened since is seen to.
#include "supervisor/journal/state_restore.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <atomic>
#include <random>

#include "tests/journal_fixture.h"
#include "tests/server_that_dies.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

class StateRestoreTest : public JournalTest {
 protected:
  /// A server does `work` and dies; answers what its registries were then.
  template <typename Work>
  std::string serve(Work work) {
    EXPECT_TRUE(serve_and_die([&] {
      ChangeJournal journal(*file_, read(*file_));
      JournalWorld world(kLimits);
      world.registries.observe(journal, 0);
      work(world);
      const std::string text = text_of(world.registry);
      text.copy(told_, text.size());
      told_[text.size()] = '\0';
      die();
    }));
    return told_;
  }
  /// Without what is noted from now on.
  std::string restore(JournalWorld& world) {
    const auto restored = restore_state(read(*file_), 0, world.registries, world.machine);
    return restored ? text_of(world.registry) : restored.error();
  }

  static constexpr Limits kLimits{.shmmax = 1 << 30, .shmall = 1 << 20, .shmmni = 500};
  std::unique_ptr<StateFile> file_ = new_file();
  char* const told_ = static_cast<char*>(
      ::mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
};

TEST_F(StateRestoreTest, EverythingIsThere) {
  const std::string before = serve([](JournalWorld& world) {
    const auto first = world.add(0x77, 10000);
    const auto second = world.add(-5);
    const auto third = world.add();
    world.apply(SetPermissions{first, 10, 20, 0604, 5'000'000});
    world.apply(SetLocked{second, true, 12});
    first->note_attach({{42, nullptr}, 2'000'000});
    first->note_detach({{42, nullptr}, 3'000'000});
    world.apply(RemoveSegment{third});
    world.apply(SetLimit{SetLimit::Which::kShmmax, 1 << 29});
    world.apply(ForgetCreator{{40, 4711}});
    world.add(6);
    world.apply(SetNextId{(7 << 15) | 9});
  });
  JournalWorld world(kLimits);
  EXPECT_EQ(restore(world), before);
  EXPECT_EQ(world.registry.read()->find_key(0x77)->id(), 0);
  EXPECT_EQ(world.registry.locked_pages(12), 1U);
}

TEST_F(StateRestoreTest, ASessionThatNobodyTakesBackIsOver) {
  serve([](JournalWorld& world) { world.add(0x77, 10000)->note_attach({{42, nullptr}, 7}); });
  const auto state = read(*file_);
  ASSERT_EQ(state.registries.size(), 1U);
  ChangeJournal journal(*file_, state);
  JournalWorld world(kLimits);
  world.registries.observe(journal, 9);
  world.add(5);
  journal.end_unobserved();
  const auto left = read(*file_);
  ASSERT_EQ(left.registries.size(), 1U);
  EXPECT_EQ(left.registries.begin()->second.settings.session, 9U);
  EXPECT_EQ(left.registries.begin()->second.segments.size(), 1U);
}

TEST_F(StateRestoreTest, TheContentsAreThere) {
  serve([](JournalWorld& world) {
    auto file = world.add(0x77)->memory().open(kAnyAccess);
    (void)!::pwrite(file->fd.get(), "here", 5, 0);
    file->fd.reset();
  });
  JournalWorld world(kLimits);
  restore(world);
  char text[5] = {};
  const auto segment = world.registry.read()->find_key(0x77);
  ASSERT_NE(segment, nullptr);
  auto file = segment->memory().open(kAnyAccess);
  ASSERT_TRUE(file);
  EXPECT_EQ(::pread(file->fd.get(), text, 5, 0), 5);
  EXPECT_STREQ(text, "here");
}

TEST_F(StateRestoreTest, RemovedSegmentsLiveAsLongAsTheyAreMapped) {
  void* mapped = MAP_FAILED;
  int number = -1;
  serve([&](JournalWorld& world) {
    const auto kept = world.add();
    const auto going = world.add();
    for (const auto& segment : {kept, going}) {
      segment->begin_opening();
      auto file = segment->memory().open(kAnyAccess);
      segment->end_opening();
      world.apply(RemoveSegment{segment});
      (void)file->fd.release();  // it stays in the table that we share
    }
  });
  // The descriptions that the dead server had handed out: the first is mapped, then both closed.
  const auto state = read(*file_);
  const auto& segments = state.registries.begin()->second.segments;
  ASSERT_EQ(segments.size(), 2U);
  for (const auto& [index, segment] : segments) {
    for (int fd = 3; fd < 200; ++fd) {
      struct stat status {};
      if (fd == segment.live.fd || ::fstat(fd, &status) != 0) continue;
      if (status.st_ino != segment.segment.inode) continue;
      if (index == 0 && mapped == MAP_FAILED) {
        mapped = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
        number = fd;
      }
      ::close(fd);
    }
  }
  ASSERT_NE(mapped, MAP_FAILED) << number;
  ChangeJournal journal(*file_, state);
  JournalWorld world(kLimits);
  const auto restored = restore_state(state, 0, world.registries, world.machine);
  ASSERT_TRUE(restored) << restored.error();
  EXPECT_EQ(restored->descriptors.size(), 2U);
  world.registries.observe(journal, 0);
  EXPECT_EQ(world.registry.read()->in_use(), 2);
  finish_restore(state, 0, world.registries);
  EXPECT_EQ(world.registry.read()->in_use(), 1);
  EXPECT_EQ(text_in(*file_), text_of(world.registry));
  ::munmap(mapped, 4096);
  world.registry.settle();
  EXPECT_EQ(world.registry.read()->in_use(), 0);
  EXPECT_EQ(text_in(*file_), text_of(world.registry));
}

// The inotify instance outlives servers, and one restored registry may have the others settled.
TEST_F(StateRestoreTest, WhatGoesBeforeItIsObservedIsNotInTheStateEither) {
  serve([](JournalWorld& world) {
    world.add(1);
    const auto going = world.add(2);
    going->begin_opening();
    auto file = going->memory().open(kAnyAccess);
    going->end_opening();
    world.apply(RemoveSegment{going});
  });
  const auto state = read(*file_);
  ChangeJournal journal(*file_, state);
  JournalWorld world(kLimits);
  const auto restored = restore_state(state, 0, world.registries, world.machine);
  ASSERT_TRUE(restored) << restored.error();
  ASSERT_EQ(world.registry.read()->in_use(), 2) << "nothing to be seen";
  finish_restore(state, 0, world.registries);
  EXPECT_EQ(world.registry.read()->in_use(), 1);
  world.registries.observe(journal, 0);
  EXPECT_EQ(text_in(*file_), text_of(world.registry));
  world.add(3);
  EXPECT_EQ(text_in(*file_), text_of(world.registry));
}

TEST_F(StateRestoreTest, TheNextServerGoesOnFromThere) {
  std::string before = serve([](JournalWorld& world) {
    for (int i = 0; i < 50; ++i) world.add(i + 1);
  });
  for (int generation = 0; generation < 5; ++generation) {
    ASSERT_TRUE(serve_and_die([&] {
      const auto state = read(*file_);
      ChangeJournal journal(*file_, state, 16384);
      JournalWorld world(kLimits);
      const auto restored = restore_state(state, 0, world.registries, world.machine);
      if (!restored || text_of(world.registry) != before) ::_exit(1);
      world.registries.observe(journal, 0);
      finish_restore(state, 0, world.registries);
      for (int i = 0; i < 30; ++i) {
        world.apply(RemoveSegment{world.add()});
        world.add(1000 * (generation + 1) + i);
      }
      const std::string text = text_of(world.registry);
      text.copy(told_, text.size());
      told_[text.size()] = '\0';
      die();
    })) << generation;
    before = told_;
  }
  EXPECT_EQ(text_in(*file_), before);
  EXPECT_GT(file_->header().current.load(), 0U) << "with checkpoints";
}

// At any instant: each change is there if it was over, and at most the next one besides.
TEST_F(StateRestoreTest, AKillAtAnyMomentLosesNothing) {
  std::mt19937 random(11);
  auto& done = *reinterpret_cast<std::atomic<std::int64_t>*>(told_);
  done = 0;
  for (int kill = 0; kill < 60; ++kill) {
    Gate begun;
    const pid_t server = start_server([&] {
      const auto state = read(*file_);
      ChangeJournal journal(*file_, state, 4096);
      JournalWorld world(kLimits);
      if (!restore_state(state, 0, world.registries, world.machine)) ::_exit(1);
      world.registries.observe(journal, 0);
      begun.open();
      auto segment = world.registry.read()->find_key(1);
      if (segment == nullptr) segment = world.add(1);
      // What the last one had made and not removed.
      const auto all = world.registry.read()->all();
      for (const auto& one : all) {
        if (one != segment) world.apply(RemoveSegment{one});
      }
      for (std::int64_t step = done;; done = ++step) {
        segment->note_attach({{1, nullptr}, step});
        world.apply(RemoveSegment{world.add()});
        world.apply(SetPermissions{segment, 1, 2, 0600, step + 1});
      }
    });
    ASSERT_TRUE(begun.pass());
    ::usleep(random() % 4000);
    ::kill(server, SIGKILL);
    ASSERT_TRUE(is_killed(server)) << "in round " << kill;
    const auto state = read(*file_);
    ASSERT_EQ(state.registries.size(), 1U);
    const auto& segments = state.registries.begin()->second.segments;
    if (segments.empty()) continue;
    ASSERT_LE(segments.size(), 2U);
    const journal::RecoveredSegment& first = segments.begin()->second;
    const std::int64_t over = done;
    EXPECT_TRUE(first.segment.ctime == over || first.segment.ctime == over + 1 || over == 0);
    EXPECT_TRUE(first.stamps.atime == over || first.stamps.atime + 1 == over) << over;
  }
  EXPECT_GT(done, 20) << "or nothing was tested";
}

TEST_F(StateRestoreTest, ADescriptorThatLeadsElsewhereIsRefused) {
  serve([](JournalWorld& world) { world.add(); });
  const int fd = read(*file_).registries.begin()->second.segments.begin()->second.live.fd;
  const UniqueFd other(::memfd_create("other", MFD_CLOEXEC));
  ASSERT_EQ(::dup3(other.get(), fd, O_CLOEXEC), fd);
  JournalWorld world(kLimits);
  EXPECT_EQ(restore(world),
            "has segment 0, whose memory is not at descriptor " + std::to_string(fd));
}

TEST_F(StateRestoreTest, AnotherSessionsSegmentsAreNotOurs) {
  serve([](JournalWorld& world) { world.add(); });
  JournalWorld world(kLimits);
  const auto restored = restore_state(read(*file_), 1, world.registries, world.machine);
  ASSERT_TRUE(restored);
  EXPECT_EQ(world.registry.read()->in_use(), 0);
}

}  // namespace
}  // namespace shmvisor
