// The segments of all registries in parts, and what their attaches cost.
#include "supervisor/control/segment_page.h"

#include <cstdint>
#include <thread>
#include <utility>

#include "emulation/syscalls/segment_load.h"
#include "tests/control_server_fixture.h"

namespace shmvisor {
namespace {

using control::Json;

class SegmentPageTest : public ControlServerTest {
 protected:
  static constexpr int kSegments = 7;  // shmmni of the fixture

  /// Makes a registry of so many segments.
  void fill(std::uint64_t ipc_namespace, int segments = kSegments) {
    fill(session_->registries().of(ipc_namespace), segments);
  }
  static void fill(const std::shared_ptr<Registry>& registry, int segments) {
    SegmentLoad::Wanted wanted;
    wanted.size_bytes = 4096;
    wanted.mode = 0600;
    for (int i = 0; i < segments; ++i) {
      Denial denial;
      const auto load = SegmentLoad::begin(registry, wanted, denial);
      ASSERT_TRUE(load);
      ASSERT_TRUE((*load)->insert(denial));
    }
  }
};

TEST_F(SegmentPageTest, APartGoesOnWhereTheLastOneEnded) {
  for (std::uint64_t id = 1; id <= 40; ++id) fill(id);
  const Json first = ask(R"({"request":"segments","after":""})");
  ASSERT_EQ(first["registries"].size(), 37U) << "the registry main is empty";
  EXPECT_EQ(first["registries"][0]["name"], "ipc:[1]");
  EXPECT_EQ(first["registries"][0]["segments"].size(), 7U);
  EXPECT_EQ(first["registries"][36]["segments"].size(), 4U);
  EXPECT_EQ(first["next"], "4 37 main");
  const Json rest = ask(R"({"request":"segments","after":"4 37 main"})");
  ASSERT_EQ(rest["registries"].size(), 4U);
  EXPECT_EQ(rest["registries"][0]["name"], "ipc:[37]");
  EXPECT_EQ(rest["registries"][0]["segments"].size(), 3U);
  EXPECT_EQ(rest["registries"][3]["segments"][6]["shmid"], 6);
  EXPECT_TRUE(rest["next"].is_null());
}

TEST_F(SegmentPageTest, NothingIsBehindTheEnd) {
  fill(1, 2);
  const Json none = ask(R"({"request":"segments","after":"32768 1 main"})");
  EXPECT_TRUE(none["registries"].empty());
  EXPECT_TRUE(none["next"].is_null());
  EXPECT_TRUE(ask(R"({"request":"segments","after":"0 2 main"})")["registries"].empty());
  EXPECT_TRUE(ask(R"({"request":"segments","after":"0 0 web"})")["registries"].empty());
  // A registry that has ended is passed over.
  EXPECT_EQ(ask(R"({"request":"segments","after":"5 0 main"})")["registries"].size(), 1U);
}

TEST_F(SegmentPageTest, SessionsComeInTheOrderOfTheirNames) {
  fill(3, 1);
  const auto other = Session::of_command(resources_, Limits());
  const std::vector<NamedSession> sessions{{"web", session_}, {"db", session_}, {"none", other}};
  const SegmentPage page = page_of_segments(sessions, {});
  ASSERT_EQ(page.registries.size(), 2U);
  EXPECT_EQ(page.registries[0]["name"], "db/ipc:[3]");
  EXPECT_EQ(page.registries[1]["name"], "web/ipc:[3]");
  const SegmentPage behind = page_of_segments(sessions, {{"db", 3}, IdSpace::kMaxIds});
  ASSERT_EQ(behind.registries.size(), 1U);
  EXPECT_EQ(behind.registries[0]["name"], "web/ipc:[3]");
}

/// A part that lost segments while it was made is not taken for one that has told all.
TEST_F(SegmentPageTest, WhatIsRemovedMeanwhileHidesNothingElse) {
  constexpr int kGoing = 250;
  constexpr int kStaying = 50;
  for (int round = 0; round < 20; ++round) {
    const auto session = Session::of_command(resources_, Limits());
    const auto registry = session->registries().of(1);
    fill(registry, kGoing + kStaying);
    std::thread remover([&] {
      for (int index = 0; index < kGoing; ++index) {
        Dropped dropped;
        Registry::WriteGuard state = registry->write();
        state.apply(RemoveSegment{*state->find_index(index)}, dropped);
      }
    });
    int told = 0;
    for (SegmentPlace from;;) {
      const SegmentPage page = page_of_segments({{"main", session}}, from);
      for (const Json& one : page.registries) {
        for (const Json& segment : one["segments"])
          told += IdSpace::index_of(segment["shmid"]) >= kGoing ? 1 : 0;
      }
      if (page.next.is_null()) break;
      from = *SegmentPlace::parse(page.next.get<std::string>());
    }
    remover.join();
    EXPECT_EQ(told, kStaying) << round;
  }
}

}  // namespace
}  // namespace shmvisor
