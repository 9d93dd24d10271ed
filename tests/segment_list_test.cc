// A client's list of the segments of several registries: what it asks for, and what it believes.
#include "supervisor/client/segment_list.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/ready_run.h"

namespace shmvisor {
namespace {

constexpr const char* kListsAll = R"(,"lists_all_segments":true)";

/// What a client has of the registries "b", "a" and "c", and what was left out.
std::string all_segments_of(client::RunConnection& run) {
  std::string got;
  const auto asked = client::for_each_segment(
      run, {"b", "a", "c"},
      [&got](const std::string& name, const client::Json& segment) {
        got += name + segment.dump() + " ";
      },
      [&got](const std::string& name, const client::Problem& why) {
        got += "(" + name + ": " + why.text + ") ";
      });
  return asked ? got : got + asked.error().text;
}

TEST(SegmentListTest, AsksForAllAtOnceWhereTheRunCan) {
  ReadyRun ready(R"({"registries":[{"name":"a","segments":[1,2]},{"name":"new","segments":[7]}],)"
                 R"("next":"2 0 b"})"
                 "\n"
                 R"({"registries":[{"name":"b","error":{"code":"no-memory","message":"none"}},)"
                 R"({"name":"c","segments":[3]}],"next":null})"
                 "\n",
                 kListsAll);
  auto run = ready.connect();
  EXPECT_EQ(all_segments_of(run), "a1 a2 (b: none) c3 ");
  EXPECT_EQ(ready.asked(),
            "{\"request\":\"segments\",\"after\":\"\"}\n"
            "{\"request\":\"segments\",\"after\":\"2 0 b\"}\n");
}

TEST(SegmentListTest, AsksForOneRegistryAfterTheOtherWhereItCannot) {
  ReadyRun ready(
      "{\"segments\":[1],\"next\":null}\n"
      R"({"error":{"code":"no-such-registry","message":"gone"}})"
      "\n"
      R"({"error":{"code":"no-memory","message":"none"}})"
      "\n");
  auto run = ready.connect();
  EXPECT_EQ(all_segments_of(run), "b1 (c: the run one (pid 5): none) ");
}

TEST(SegmentListTest, KeepsTheOrderOfTheRegistries) {
  ReadyRun ready(
      R"({"registries":[{"name":"a","segments":[{"shmid":1}]},{"name":"b","segments":[{"shmid":2}]}],)"
      R"("next":null})"
      "\n",
      kListsAll);
  auto run = ready.connect();
  const auto segments = client::fetch_segments(run, {{{"name", "b"}, {"used", {{"segments", 1}}}},
                                                     {{"name", "c"}, {"used", {{"segments", 0}}}},
                                                     {{"name", "a"}, {"used", {{"segments", 1}}}}});
  ASSERT_TRUE(segments);
  ASSERT_EQ(segments->size(), 2U);
  EXPECT_EQ(segments->at(0).dump(), R"({"registry":"b","shmid":2})");
  EXPECT_EQ(segments->at(1).dump(), R"({"registry":"a","shmid":1})");
}

TEST(SegmentListTest, OfARegistryThatIsToldInPartNothingIsShown) {
  ReadyRun ready(
      R"({"registries":[{"name":"a","segments":[{"shmid":1}]},{"name":"b","segments":[{"shmid":2}]}],)"
      R"("next":"2 0 b"})"
      "\n"
      R"({"registries":[{"name":"b","error":{"code":"no-memory","message":"none"}}],"next":null})"
      "\n",
      kListsAll);
  auto run = ready.connect();
  const auto segments = client::fetch_segments(run, {{{"name", "a"}, {"used", {{"segments", 1}}}},
                                                     {{"name", "b"}, {"used", {{"segments", 2}}}}});
  ASSERT_TRUE(segments);
  ASSERT_EQ(segments->size(), 1U);
  EXPECT_EQ(segments->at(0).dump(), R"({"registry":"a","shmid":1})");
}

TEST(SegmentListTest, AContainersIdIsShownAndMeantByItsFirstDigits) {
  const std::string id = "973de0cafe12" + std::string(52, '7');
  EXPECT_EQ(client::shown_registry(id), "973de0cafe12");
  EXPECT_EQ(client::shown_registry(id + "#2/ipc:[4]"), "973de0cafe12#2/ipc:[4]");
  for (const std::string name : {"main", "group:web", "973de0cafe12", "ipc:[4026531839]"}) {
    EXPECT_EQ(client::shown_registry(name), name);
  }
  EXPECT_EQ(client::shown_registry(id + "7"), id + "7") << "of 65 digits it is no such id";
  EXPECT_TRUE(client::means_registry("973d", id));
  EXPECT_FALSE(client::means_registry("973", id)) << "too short";
  EXPECT_FALSE(client::means_registry("973d", id + "/ipc:[4]"));
  EXPECT_TRUE(client::means_registry("973d/ipc:[4]", id + "/ipc:[4]"));
  EXPECT_FALSE(client::means_registry("973d/ipc:[4]", id + "/ipc:[5]"));
  EXPECT_FALSE(client::means_registry("973d/ipc:[4]", id));
  EXPECT_TRUE(client::means_registry("973d#2", id + "#2"));
  EXPECT_TRUE(client::means_registry("", id));
  EXPECT_TRUE(client::means_registry("main", "main"));
  EXPECT_FALSE(client::means_registry("main/ipc:[4]", "main"));
}

TEST(SegmentListTest, TakesNoPartsWithoutEnd) {
  const std::string part = "{\"registries\":[],\"next\":\"0 0 a\"}\n";
  for (const std::string& answers : {part + part, std::string("{\"registries\":[],\"next\":7}\n"),
                                     std::string("{\"registries\":[],\"next\":\"\"}\n")}) {
    ReadyRun ready(answers, kListsAll);
    auto run = ready.connect();
    EXPECT_EQ(all_segments_of(run), "the run one (pid 5): its list of segments does not end");
  }
}

}  // namespace
}  // namespace shmvisor
