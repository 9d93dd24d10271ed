// A registry that was saved and restored is the one that it was: each segment, the limits, and the
// identifiers that come next. What the new run cannot have is refused.
#include "supervisor/session/registry_restore.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <string>

#include "emulation/syscalls/new_segment.h"
#include "supervisor/memory/memfd_memory.h"
#include "supervisor/session/registry_snapshot.h"
#include "supervisor/session/session.h"
#include "tests/fakes/fake_viewpoint.h"
#include "tests/saved_file.h"

namespace shmvisor {
namespace {

/// All that struct shmid_ds has.
std::string words_of(const ShmidDs& ds) {
  std::string words;
  for (const std::int64_t number :
       {std::int64_t{ds.key}, std::int64_t{ds.uid}, std::int64_t{ds.gid}, std::int64_t{ds.cuid},
        std::int64_t{ds.cgid}, std::int64_t{ds.mode}, std::int64_t{ds.seq},
        static_cast<std::int64_t>(ds.segsz_bytes), ds.atime, ds.dtime, ds.ctime,
        std::int64_t{ds.cpid}, std::int64_t{ds.lpid}, static_cast<std::int64_t>(ds.nattch)}) {
    words += std::to_string(number) + " ";
  }
  return words;
}

class RegistryRestoreTest : public ::testing::Test {
 protected:
  struct Place {
    explicit Place(KernelFeatures& features, const Limits& limits = {})
        : session(Session::of_command(std::make_shared<SessionResources>(features), limits)),
          registry(*session->registries().initial()) {}

    void apply(const Change& change) {
      Dropped dropped;
      { registry.write().apply(change, dropped); }
      dropped.free();
    }
    std::shared_ptr<Segment> add(key_t key, std::uint64_t size_bytes, bool huge = false) {
      BackingRequest request;
      request.name = segment_name(key);
      request.size_bytes = size_bytes;
      request.reserve = !huge;
      request.huge = huge;
      if (huge) {
        const auto page_bytes = registry.host().huge_page_bytes(0);
        if (!page_bytes) return nullptr;
        request.huge_page_bytes = *page_bytes;
      }
      auto memory = registry.host().create_memory(request);
      if (!memory) return nullptr;
      Segment::Creation creation;
      creation.perm = {key, 1, 2, 3, 4, 0640};
      creation.size_bytes = size_bytes;
      creation.cpid = {41, nullptr};
      creation.account = 5;
      creation.now_seconds = 1'000'000;
      const auto free = registry.read()->next_id();
      creation.id = free->id;
      auto segment = std::make_shared<Segment>(std::move(creation), std::move(*memory));
      apply(InsertSegment{*free, segment});
      return segment;
    }
    /// All segments, as a caller would see them, and what comes next.
    std::string shown() {
      FakeViewpoint viewpoint;
      const auto state = registry.read();
      std::string all;
      state->for_each([&](const std::shared_ptr<Segment>& segment) {
        all += std::to_string(segment->id()) + ": " +
               words_of(state->describe(*segment, viewpoint)) + std::to_string(segment->account()) +
               "\n";
      });
      const auto next = state->next_id();
      all += "next " + std::to_string(next ? next->id : -1) + " hint " +
             std::to_string(state->next_id_hint()) + " pages " +
             std::to_string(state->total_pages());
      return all;
    }

    std::shared_ptr<Session> session;
    Registry& registry;
  };

  static RestoreOrder anybody() {
    RestoreOrder order;
    order.knows_user = [](uid_t) { return true; };
    order.knows_group = [](gid_t) { return true; };
    return order;
  }
  /// Empty where all of it is restored.
  static std::string restore(UniqueFd file, Place& place, const RestoreOrder& order = anybody()) {
    saved::StateReader reader(std::move(file));
    const auto restored = restore_registry(reader, place.registry, order);
    return restored ? "" : restored.error();
  }
  UniqueFd snapshot_of(Place& place) {
    auto snapshot = take_snapshot(place.registry, "1");
    EXPECT_TRUE(snapshot);
    return std::move(snapshot->file);
  }

  KernelFeatures features_;
};

TEST_F(RegistryRestoreTest, EverythingComesBack) {
  Place before(features_, Limits{.shmmax = 1 << 20, .shmall = 1000, .shmmni = 100});
  const auto first = before.add(0x77, 10000);
  const auto second = before.add(abi::kIpcPrivate, 4096);
  const auto third = before.add(-5, 1);
  ASSERT_TRUE(first && second && third);
  first->note_attach({{42, nullptr}, 2'000'000});
  first->note_detach({{43, nullptr}, 3'000'000});
  third->note_attach({{44, nullptr}, 4'000'000});
  before.apply(RemoveSegment{second});
  before.apply(SetPermissions{third, 10, 20, 0604, 5'000'000});
  before.apply(SetNextId{77});
  Place after(features_);
  ASSERT_EQ(restore(snapshot_of(before), after), "");
  EXPECT_EQ(after.shown(), before.shown());
  EXPECT_EQ(after.registry.read()->limits(), before.registry.read()->limits());
  EXPECT_EQ(after.registry.read()->find_key(0x77)->id(), first->id());
  after.apply(SetNextId{-1});
  before.apply(SetNextId{-1});
  EXPECT_EQ(after.shown(), before.shown()) << "where the cycle goes on";
}

TEST_F(RegistryRestoreTest, TheCycleOfIdentifiersGoesOnWhereItWas) {
  Place before(features_);
  for (int round = 0; round < 100; ++round) before.apply(RemoveSegment{before.add(0, 1)});
  Place after(features_);
  ASSERT_EQ(restore(snapshot_of(before), after), "");
  for (int round = 0; round < 100; ++round) {
    const auto one = before.add(0, 1);
    const auto other = after.add(0, 1);
    ASSERT_EQ(one->id(), other->id());
    before.apply(RemoveSegment{one});
    after.apply(RemoveSegment{other});
  }
}

TEST_F(RegistryRestoreTest, LockedSegmentsAreLocked) {
  Place before(features_);
  const auto segment = before.add(0x77, 4096);
  before.apply(SetLocked{segment, true, 5});
  Place after(features_);
  ASSERT_EQ(restore(snapshot_of(before), after), "");
  EXPECT_EQ(after.shown(), before.shown());
  EXPECT_EQ(after.registry.locked_pages(5), 1U);
  EXPECT_EQ(after.registry.lock_mode(*after.registry.read()->find_key(0x77)), LockMode::kLazy);
}

TEST_F(RegistryRestoreTest, ARemovedSegmentIsCountedAndLeftOut) {
  Place before(features_);
  const auto segment = before.add(0x77, 4096);
  segment->begin_opening();
  before.apply(RemoveSegment{segment});
  ASSERT_EQ(before.registry.read()->in_use(), 1);
  auto snapshot = take_snapshot(before.registry, "1");
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->segments, 0U);
  EXPECT_EQ(snapshot->doomed, 1U);
  before.registry.end_opening(segment);
  Place after(features_);
  ASSERT_EQ(restore(std::move(snapshot->file), after), "");
  EXPECT_EQ(after.registry.read()->in_use(), 0);
}

TEST_F(RegistryRestoreTest, ContentsAndHolesComeBack) {
  const std::uint64_t size_bytes = std::uint64_t{4} << 30;
  const Bytes page(kPageBytes, std::byte{9});
  const saved::Contents contents{3, size_bytes - kPageBytes, page};
  Place after(features_);
  ASSERT_EQ(restore(file_of({saved_head(), saved_registry(1), saved_segment(3, 0x77, size_bytes),
                             contents}),
                    after),
            "");
  const auto segment = after.registry.read()->find_key(0x77);
  ASSERT_NE(segment, nullptr);
  EXPECT_FALSE(segment->in_use());
  EXPECT_EQ(segment->memory().usage().resident, 1U);
  const auto file = segment->memory().open(kReadExecute);
  ASSERT_TRUE(file);
  Bytes read(kPageBytes);
  ASSERT_EQ(::pread(file->fd.get(), read.data(), read.size(), contents.offset_bytes), 4096);
  EXPECT_EQ(read, page);
}

TEST_F(RegistryRestoreTest, WhatWasRemovedMeanwhileIsNotThere) {
  Place after(features_);
  ASSERT_EQ(restore(file_of({saved_head(), saved_registry(2), saved_segment(1, 0x77),
                             saved::Removal{1}, saved_segment(2, 0x78)}),
                    after),
            "");
  EXPECT_EQ(after.registry.read()->in_use(), 1);
  EXPECT_EQ(after.registry.read()->find_key(0x77), nullptr);
}

TEST_F(RegistryRestoreTest, HugePagesAreHugeAgain) {
  Place before(features_);
  if (before.add(0x77, 1, /*huge=*/true) == nullptr) GTEST_SKIP() << "no huge pages here";
  Place after(features_);
  ASSERT_EQ(restore(snapshot_of(before), after), "");
  const auto segment = after.registry.read()->find_key(0x77);
  ASSERT_NE(segment, nullptr);
  const auto& memory = static_cast<const MemfdMemory&>(segment->memory());
  EXPECT_TRUE(memory.is_huge());
  EXPECT_FALSE(memory.is_reserved());
  EXPECT_GT(memory.page_bytes(), kPageBytes);
}

TEST_F(RegistryRestoreTest, AHugePageSizeThatIsNotThereIsRefused) {
  saved::SegmentState segment = saved_segment(0);
  segment.huge = true;
  segment.page_bytes = std::uint64_t{1} << 39;
  Place after(features_);
  EXPECT_NE(restore(file_of({saved_head(), saved_registry(1), segment}), after)
                .find("cannot be made in huge pages of 549755813888 bytes"),
            std::string::npos);
}

TEST_F(RegistryRestoreTest, LimitsOfTheNewRunBind) {
  const auto two_pages = [] {
    saved::RegistryState registry = saved_registry(2);
    registry.limits = {4096, 1, 1};  // lower than what exists
    return file_of({saved_head(), registry, saved_segment(1, 0, 4096), saved_segment(2, 0, 8192)});
  };
  {
    Place after(features_);
    EXPECT_EQ(restore(two_pages(), after), "");
    EXPECT_EQ(after.registry.read()->limits(), (Limits{4096, 1, 1}));
  }
  const auto refused = [&](const LimitSettings& limits) {
    RestoreOrder order = anybody();
    order.limits = limits;
    Place after(features_);
    return restore(two_pages(), after, order);
  };
  EXPECT_EQ(refused({.shmmax = 8192, .shmall = 3, .shmmni = 2}), "");
  EXPECT_NE(refused({.shmmax = 8191}).find("segment 2, which is refused: 8192 bytes are more than"),
            std::string::npos)
      << refused({.shmmax = 8191});
  EXPECT_NE(refused({.shmall = 2}).find("shmall"), std::string::npos);
  EXPECT_NE(refused({.shmmni = 1}).find("shmmni"), std::string::npos);
  RestoreOrder order = anybody();
  order.limits.shmmax = 1 << 20;
  Place after(features_);
  EXPECT_EQ(restore(two_pages(), after, order), "");
  EXPECT_EQ(after.registry.read()->limits(), (Limits{1 << 20, 1, 1}));
}

TEST_F(RegistryRestoreTest, SizesThatNoMachineHasAreRefused) {
  for (const std::uint64_t size_bytes : {UINT64_MAX, UINT64_MAX - 4096, std::uint64_t{1} << 63}) {
    Place after(features_);
    EXPECT_NE(
        restore(file_of({saved_head(), saved_registry(1), saved_segment(0, 0, size_bytes)}), after),
        "")
        << size_bytes;
    EXPECT_EQ(after.registry.read()->in_use(), 0);
  }
}

TEST_F(RegistryRestoreTest, OwnersMustBeThere) {
  const auto refused = [this](const auto& change) {
    saved::SegmentState segment = saved_segment(0);
    change(segment);
    RestoreOrder order;
    order.knows_user = [](uid_t user) { return user == 0; };
    order.knows_group = [](gid_t group) { return group == 0; };
    Place after(features_);
    return restore(file_of({saved_head(), saved_registry(1), segment}), after, order);
  };
  EXPECT_EQ(refused([](auto&) {}), "");
  EXPECT_EQ(refused([](auto& one) { one.perm.uid = 7; }),
            "has segment 0, which is of user 7, who is not in this user namespace");
  EXPECT_NE(refused([](auto& one) { one.perm.cuid = 7; }), "");
  EXPECT_NE(refused([](auto& one) { one.perm.gid = 7; }), "");
  EXPECT_NE(refused([](auto& one) { one.perm.cgid = 7; }), "");
}

TEST_F(RegistryRestoreTest, RmidForcedComesBackAndTakesNothing) {
  Place before(features_);
  before.registry.set_rmid_forced(true);
  saved::RegistryState registry = saved_registry(1);
  registry.rmid_forced = true;
  const auto file = [&] { return file_of({saved_head(), registry, saved_segment(0)}); };
  Place after(features_);
  ASSERT_EQ(restore(file(), after), "");
  EXPECT_TRUE(after.registry.rmid_forced());
  after.registry.settle();
  EXPECT_EQ(after.registry.read()->in_use(), 1) << "it waits for its first user";
  RestoreOrder order = anybody();
  order.rmid_forced = false;
  Place other(features_);
  ASSERT_EQ(restore(file(), other, order), "");
  EXPECT_FALSE(other.registry.rmid_forced());
}

}  // namespace
}  // namespace shmvisor
