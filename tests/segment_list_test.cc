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
