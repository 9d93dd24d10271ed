// However much there is, a report has room for what it tells, and counts what it leaves out; and
// what is asked in parts comes as a whole.
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "supervisor/control/control_answer.h"
#include "supervisor/control/control_request.h"
#include "supervisor/control/protocol.h"
#include "supervisor/control/report_answer.h"

namespace shmvisor {
namespace {

using control::Json;

constexpr std::size_t kRegistries = 3000;
constexpr std::size_t kMostRegistries = 2048;
constexpr std::size_t kMostSegments = 1536;

/// Containers that no reply has room for are told of in parts, each once, whatever ends meanwhile.
TEST(ControlReportTest, AllRegistriesComeInParts) {
  KernelFeatures features;
  const auto resources = std::make_shared<SessionResources>(features);
  const auto session = Session::of_command(resources, Limits());
  (void)session->registries().of(7);
  (void)session->registries().of(5);
  std::vector<NamedSession> sessions;
  for (std::size_t number = 0; number < kRegistries; ++number) {
    sessions.push_back({"container-" + std::to_string(number) + std::string(50, 'x'), session});
  }
  ClientLoad load;
  const auto ask_all = [&](const std::string& request, const char* list) {
    std::vector<std::string> names;
    auto known = sessions;
    for (Json after = ""; !after.is_null();) {
      const auto parsed =
          parse_control_request(Json{{"request", request}, {"after", after}}.dump());
      EXPECT_TRUE(parsed);
      const ControlAnswer answer = answer_control_request(*parsed, known, load);
      EXPECT_LE(answer.line.size(), control::kMostReplyBytes);
      const Json reply = Json::parse(answer.line);
      if (!reply.contains(list)) {
        ADD_FAILURE() << reply;
        break;
      }
      for (const Json& one : reply[list]) names.push_back(one["name"]);
      after = reply["next"];
      // One that was told of ends, and others keep their places.
      std::erase_if(known, [&](const NamedSession& one) { return one.name == names.front(); });
    }
    return names;
  };
  for (const auto& [request, list, each] : {std::tuple("registries", "registries", 3),
                                            {"counters", "registries", 3},
                                            {"processes", "sessions", 1}}) {
    auto names = ask_all(request, list);
    EXPECT_EQ(names.size(), kRegistries * static_cast<std::size_t>(each)) << request;
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size()) << request;
  }
  // Of one session they are in order, its first one before those that were made inside.
  EXPECT_TRUE(ask_all("registries", "registries")[1].ends_with("/ipc:[5]"));
}

TEST(ControlReportTest, WhatHasNoRoomIsCounted) {
  constexpr std::size_t kSegments = 300;
  KernelFeatures features;
  const auto resources = std::make_shared<SessionResources>(features);
  const auto session = Session::of_command(resources, Limits());
  // An agent with many containers; that their segments are the same ones makes the test fast.
  std::vector<NamedSession> sessions;
  for (std::size_t number = 0; number < kRegistries; ++number) {
    sessions.push_back({"container-" + std::to_string(number) + std::string(50, 'x'), session});
  }
  ClientLoad load;
  const auto ask = [&](const ControlRequest& request) {
    const ControlAnswer answer = answer_control_request(request, sessions, load);
    EXPECT_LE(answer.line.size(), control::kMostReplyBytes);
    return Json::parse(answer.line);
  };
  for (std::size_t made = 0; made < kSegments; ++made) {
    AllocateSegment wanted;
    wanted.registry = sessions.front().name;
    wanted.size_bytes = 4096;
    wanted.mode = 0600;
    ASSERT_FALSE(ask(wanted).contains("error"));
    ASSERT_FALSE(ask(InsertAllocated()).contains("error"));
  }
  const Json report = ask(Report());
  ASSERT_FALSE(report.contains("error")) << report;
  EXPECT_EQ(report["registries"].size(), kMostRegistries);
  EXPECT_EQ(report["registries_left_out"], kRegistries - kMostRegistries);
  std::size_t listed = 0;
  for (const Json& registry : report["registries"]) {
    EXPECT_EQ(registry["left"].size() + registry["left_out"].get<std::size_t>(), kSegments);
    listed += registry["left"].size();
  }
  EXPECT_EQ(report["registries"][0]["left"].size(), kMostLeftInAReport);
  EXPECT_EQ(listed, kMostSegments);
}

}  // namespace
}  // namespace shmvisor
