// The journal of changes: what a registry is can be read from the state file after each change,
// whatever was being written when the writer ended; and what is damaged is refused.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <map>
#include <random>
#include <thread>
#include <vector>

#include "tests/journal_fixture.h"

namespace shmvisor {
namespace {

/// A journal over a new file, and a registry that it observes.
class ObservedTest : public JournalTest {
 protected:
  ObservedTest() { world_.registries.observe(journal_, 3); }

  [[nodiscard]] std::uint64_t committed() const {
    const auto& header = file_->header();
    return header.areas[header.current.load() % 2].committed.load();
  }
  [[nodiscard]] std::span<std::byte> area() const {
    return file_->area(file_->header().current.load() % 2);
  }
  /// Of an attach that lasts.
  static UniqueFd open(Segment& segment) {
    segment.begin_opening();
    auto opened = segment.memory().open(kAnyAccess);
    segment.end_opening();
    return opened ? std::move(opened->fd) : UniqueFd();
  }
  void expect_same(const std::string& after) {
    ASSERT_EQ(text_in(*file_), text_of(world_.registry)) << after;
  }

  std::unique_ptr<StateFile> file_ = new_file();
  ChangeJournal journal_{*file_, read(*file_), 4096};
  JournalWorld world_{Limits{.shmmax = 1 << 30, .shmall = 1 << 20, .shmmni = 500}};
};

TEST_F(JournalTest, ANewFileIsEmpty) {
  const auto file = new_file();
  ASSERT_NE(file, nullptr);
  EXPECT_TRUE(read(*file).empty());
}

TEST_F(ObservedTest, EveryKindOfChangeIsReadBack) {
  expect_same("the beginning");
  const auto first = world_.add(0x77, 10000);
  const auto second = world_.add(-5);
  const auto third = world_.add();
  ASSERT_TRUE(first && second && third);
  expect_same("segments that are made");
  world_.apply(SetPermissions{first, 10, 20, 0604, 5'000'000});
  expect_same("IPC_SET");
  world_.apply(SetLocked{second, true, 12});
  expect_same("SHM_LOCK");
  world_.apply(SetLocked{second, false, 0});
  expect_same("SHM_UNLOCK");
  world_.apply(SetLimit{SetLimit::Which::kShmmax, 1 << 29});
  world_.apply(SetLimit{SetLimit::Which::kShmall, 999});
  world_.apply(SetLimit{SetLimit::Which::kShmmni, 99});
  expect_same("limits");
  world_.apply(SetNextId{(7 << 15) | 9});
  expect_same("shm_next_id");
  const auto asked_for = world_.add();
  ASSERT_EQ(asked_for->id(), (7 << 15) | 9);
  expect_same("a segment that shm_next_id asked for");
  const UniqueFd mapped = open(*third);
  expect_same("an attach that begins");
  third->note_attach({{42, nullptr}, 2'000'000});
  expect_same("an attach");
  world_.apply(RemoveSegment{third});
  expect_same("IPC_RMID of an attached segment");
  const auto provisional = third->note_provisionally(Segment::Change::kDetach, {{43, {}}, 3});
  third->retract(provisional);
  third->note_detach({{44, std::make_shared<const std::vector<PidRecord::Inner>>(
                               std::vector<PidRecord::Inner>{{4026531836, 2}, {4026531900, 1}})},
                      3'000'000});
  expect_same("a detach of a process in inner pid namespaces");
  world_.apply(RemoveSegment{first});
  expect_same("IPC_RMID");
  world_.registry.set_rmid_forced(true);
  expect_same("shm_rmid_forced");
  world_.registry.set_rmid_forced(false);
  expect_same("and back");
  world_.apply(ForgetCreator{{40, 4711}});
  expect_same("the end of the creator");
}

TEST_F(ObservedTest, ASegmentThatIsOverIsGone) {
  const auto segment = world_.add();
  {
    const UniqueFd mapped = open(*segment);
    world_.apply(RemoveSegment{segment});
    expect_same("IPC_RMID of an attached segment");
  }
  world_.apply(DropIfOver{segment});
  EXPECT_EQ(read(*file_).registries.begin()->second.segments.size(), 0U);
  // Its stamps are another's by now, and it has none.
  const auto next = world_.add();
  segment->note_attach({{42, nullptr}, 2'000'000});
  expect_same("a late stamp of a segment that is gone");
}

TEST_F(ObservedTest, CreatorsOfManyPidNamespacesAreKept) {
  std::vector<PidRecord::Inner> levels;
  for (int level = 0; level < 31; ++level) levels.push_back({4026531836U + unsigned(level), level});
  BackingRequest request;
  request.name = segment_name(1);
  request.size_bytes = 1;
  auto memory = world_.machine.create_memory(request);
  const auto free = world_.registry.read()->next_id();
  Segment::Creation creation;
  creation.id = free->id;
  creation.size_bytes = 1;
  creation.cpid = {41, std::make_shared<const std::vector<PidRecord::Inner>>(levels)};
  world_.apply(
      InsertSegment{*free, std::make_shared<Segment>(std::move(creation), std::move(*memory))});
  expect_same("31 levels");
}

TEST_F(ObservedTest, EachNamespaceHasItsOwn) {
  const auto inner = world_.registries.of(99);
  world_.add(1);
  world_.add(1, 4096, inner.get());
  EXPECT_EQ(text_in(*file_), text_of(world_.registry));
  EXPECT_EQ(text_in(*file_, 99), text_of(*inner));
  EXPECT_EQ(read(*file_).registries.begin()->second.settings.session, 3U);
}

TEST_F(ObservedTest, ANamespaceThatEndsIsGone) {
  world_.add(1, 4096, world_.registries.of(99).get());
  EXPECT_EQ(read(*file_).registries.size(), 2U);
  world_.registries.take(99).reset();
  EXPECT_EQ(read(*file_).registries.size(), 1U);
  EXPECT_EQ(text_in(*file_, 99), "none");
  const auto again = world_.registries.of(99);
  EXPECT_EQ(text_in(*file_, 99), text_of(*again));
}

TEST_F(ObservedTest, WhatIsThereBeforeTheJournalIsWrittenToo) {
  const auto file = new_file();
  ChangeJournal journal(*file, read(*file));
  JournalWorld world;
  world.add(5);
  world.apply(SetNextId{77});
  world.registries.observe(journal, 0);
  EXPECT_EQ(text_in(*file), text_of(world.registry));
}

TEST_F(ObservedTest, WhatLiesBehindTheCommitDoesNotCount) {
  world_.add(0x77);
  const std::string before = text_of(world_.registry);
  const std::uint64_t end = committed();
  world_.add(0x78);
  const std::uint64_t next_end = committed();
  auto& header = file_->header();
  std::vector<std::byte> kept(area().begin(),
                              area().begin() + static_cast<std::ptrdiff_t>(next_end));
  header.areas[header.current.load() % 2].committed.store(end);
  // The next record, written up to each of its bytes; and then nonsense.
  for (std::uint64_t torn = end; torn <= next_end; ++torn) {
    std::fill(area().begin() + static_cast<std::ptrdiff_t>(torn),
              area().begin() + static_cast<std::ptrdiff_t>(next_end), std::byte{0xa5});
    ASSERT_EQ(text_in(*file_), before) << torn;
    std::copy(kept.begin(), kept.end(), area().begin());
  }
  header.areas[header.current.load() % 2].committed.store(next_end);
  expect_same("as it was");
}

TEST_F(ObservedTest, ACommitInTheMiddleOfARecordIsRefused) {
  std::map<std::uint64_t, std::string> states;
  states[committed()] = text_of(world_.registry);
  const auto segment = world_.add(0x77);
  states[committed()] = text_of(world_.registry);
  world_.apply(SetPermissions{segment, 10, 20, 0604, 5'000'000});
  states[committed()] = text_of(world_.registry);
  world_.apply(RemoveSegment{segment});
  states[committed()] = text_of(world_.registry);
  auto& header = file_->header();
  auto& end = header.areas[header.current.load() % 2].committed;
  const std::uint64_t whole = end.load();
  for (std::uint64_t cut = states.begin()->first; cut <= whole; ++cut) {
    end.store(cut);
    if (states.contains(cut)) {
      const std::string text = text_in(*file_);
      // The stamps that a record leads to are those of now.
      EXPECT_EQ(text.substr(0, text.find("atime")),
                states[cut].substr(0, states[cut].find("atime")));
    } else {
      EXPECT_NE(trouble_with(*file_), "") << cut;
    }
  }
  end.store(whole);
}

TEST_F(ObservedTest, AnyAlteredByteIsFound) {
  const auto segment = world_.add(0x77);
  world_.add();
  world_.apply(SetPermissions{segment, 10, 20, 0604, 5'000'000});
  world_.apply(RemoveSegment{segment});
  for (std::uint64_t at = 0; at < committed(); ++at) {
    const auto bit = std::byte{1} << (at % 8);
    area()[at] ^= bit;
    const std::string trouble = trouble_with(*file_);
    EXPECT_TRUE(trouble.starts_with("is damaged: the record at byte ")) << at << trouble;
    area()[at] ^= bit;
  }
  expect_same("as it was");
}

TEST_F(ObservedTest, ACheckpointIsTheStateAndNoMore) {
  std::vector<std::shared_ptr<Segment>> segments;
  for (int i = 0; i < 10; ++i) segments.push_back(world_.add(i + 1));
  const std::uint64_t before = journal_.checkpoints();
  for (int round = 0; journal_.checkpoints() < before + 3; ++round) {
    ASSERT_LT(round, 10000);
    world_.apply(SetPermissions{segments[static_cast<std::size_t>(round) % 10], 10, 20,
                                mode_t(round) & 0777, round});
    expect_same(std::to_string(round));
  }
  EXPECT_LT(committed(), 8192U);
  // The next one begins with it.
  ChangeJournal next(*file_, read(*file_), 4096);
  EXPECT_EQ(text_in(*file_), text_of(world_.registry));
}

// What was written of a checkpoint when the writer ended is not looked at, and is overwritten.
TEST_F(ObservedTest, ACheckpointThatWasBegunDoesNotCount) {
  world_.add(1);
  auto& header = file_->header();
  const auto other = (header.current.load() + 1) % 2;
  std::ranges::fill(file_->area(other), std::byte{0x5a});
  header.areas[other].committed.store(12345);
  header.areas[other].checkpoint_bytes = 99999;
  expect_same("nonsense in the other area");
  const std::uint64_t before = journal_.checkpoints();
  for (int i = 0; i < 100; ++i) world_.apply(RemoveSegment{world_.add()});
  EXPECT_GT(journal_.checkpoints(), before);
  expect_same("checkpoints over it");
}

TEST_F(ObservedTest, AFileThatIsTooSmallIsIncomplete) {
  const auto small = new_file(8192);
  ChangeJournal journal(*small, read(*small));
  JournalWorld world;
  world.registries.observe(journal, 0);
  for (int i = 0; i < 100; ++i) world.add();
  EXPECT_EQ(trouble_with(*small), "is incomplete: a change could not be written");
}

TEST_F(ObservedTest, AFileOfAnotherShapeIsRefused) {
  auto& header = file_->header();
  const auto refused = [&] {
    UniqueFd file(::dup(file_->fd()));
    const auto opened = StateFile::open(file);
    return opened ? std::string() : opened.error();
  };
  EXPECT_EQ(refused(), "");
  header.version = 2;
  EXPECT_EQ(refused(), "is of version 2, which this shmvisor does not know");
  header.version = 1;
  header.slots = 1;
  EXPECT_NE(refused(), "");
  header.slots = journal::kSlots;
  header.magic = 0;
  EXPECT_EQ(refused(), "is no state of a shmvisor");
  header.magic = journal::StateHeader::kMagic;
  header.areas[0].committed.store(header.area_bytes + 1);
  EXPECT_NE(trouble_with(*file_), "");
}

// Changes of several registries at a time, with checkpoints among them.
TEST_F(ObservedTest, ThreadsDoNotMixTheirChanges) {
  const std::vector<std::shared_ptr<Registry>> all{
      world_.registries.initial(), world_.registries.of(98), world_.registries.of(99)};
  std::vector<std::thread> threads;
  for (const auto& registry : all) {
    for (int half = 0; half < 2; ++half) {
      threads.emplace_back([&] {
        for (int i = 0; i < 300; ++i) {
          const auto segment = world_.add(0, 4096, registry.get());
          segment->note_attach({{i + 1, nullptr}, i});
          world_.apply(*registry, SetPermissions{segment, 1, 2, 0600, i});
          if (i % 8 != 0) world_.apply(*registry, RemoveSegment{segment});
        }
      });
    }
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(journal_.checkpoints(), 5U);
  for (const IpcNamespaceId id : {JournalWorld::kFirst, IpcNamespaceId{98}, IpcNamespaceId{99}}) {
    EXPECT_EQ(text_in(*file_, id), text_of(*world_.registries.find(id)));
  }
}

// Anything in any order; the state is read after each, and there are many checkpoints.
TEST_F(ObservedTest, WhateverHappensIsReadBack) {
  std::mt19937 random(4711);
  const auto below = [&random](unsigned bound) { return unsigned(random()) % bound; };
  std::vector<std::shared_ptr<Segment>> segments;
  std::vector<UniqueFd> mapped;
  for (int step = 0; step < 1500; ++step) {
    const auto some = segments.empty() ? nullptr : segments[below(unsigned(segments.size()))];
    const auto there = [&] {
      const auto found = some ? world_.registry.read()->find(some->id()) : Errno(EINVAL);
      return found && *found == some;
    };
    switch (below(12)) {
      case 0:
      case 1:
      case 2:
        if (segments.size() < 40) segments.push_back(world_.add(0, 1 + below(9000)));
        break;
      case 3:
        if (there()) world_.apply(RemoveSegment{some});
        break;
      case 4:
        if (there()) world_.apply(SetPermissions{some, below(9), below(9), below(0777), step});
        break;
      case 5:
        if (there()) world_.apply(SetLocked{some, below(2) == 0, below(9)});
        break;
      case 6:
        if (there() && mapped.size() < 10) mapped.push_back(open(*some));
        break;
      case 7:
        if (!mapped.empty()) mapped.erase(mapped.begin() + below(unsigned(mapped.size())));
        world_.registry.settle();
        break;
      case 8:
        if (some) some->note_attach({{int(below(99)) + 1, nullptr}, step});
        break;
      case 9:
        if (some) some->note_detach({{int(below(99)) + 1, nullptr}, step});
        break;
      case 10:
        world_.apply(SetNextId{below(3) == 0 ? int(below(1U << 30)) : -1});
        break;
      default:
        if (below(10) == 0) world_.registry.set_rmid_forced(below(2) == 0);
        if (there() && below(4) == 0) world_.apply(DropIfOver{some});
    }
    std::erase_if(segments, [&](const auto& one) {
      const auto found = world_.registry.read()->find(one->id());
      return (!found || *found != one) && below(5) == 0;
    });
    ASSERT_EQ(text_in(*file_), text_of(world_.registry)) << step;
  }
  EXPECT_GT(journal_.checkpoints(), 10U);
}

}  // namespace
}  // namespace shmvisor
