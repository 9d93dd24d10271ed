// Requests to a control socket: those that there are, and lines that are none.
#include "supervisor/control/control_request.h"

#include <gtest/gtest.h>

#include <string>

namespace shmvisor {
namespace {

std::string refusal_of(const std::string& line) {
  const auto parsed = parse_control_request(line);
  return parsed ? "" : parsed.error().code;
}

TEST(ControlRequestTest, KnowsEachRequest) {
  EXPECT_TRUE(std::holds_alternative<ListRegistries>(
      *parse_control_request(R"({"request":"registries"})")));
  EXPECT_TRUE(
      std::holds_alternative<ListProcesses>(*parse_control_request(R"({"request":"processes"})")));
  const auto segments =
      parse_control_request(R"( {"from": 7, "registry": "main", "request": "segments"} )");
  ASSERT_TRUE(segments);
  const auto* const list = std::get_if<ListSegments>(&*segments);
  ASSERT_NE(list, nullptr);
  EXPECT_EQ(list->registry, "main");
  EXPECT_EQ(list->from_index, 7);
}

TEST(ControlRequestTest, KnowsWhereToGoOnAmongAllSegments) {
  const auto from = [](const std::string& place) {
    const auto parsed =
        parse_control_request(R"({"request":"segments","after":")" + place + R"("})");
    const auto* const all = parsed ? std::get_if<ListAllSegments>(&*parsed) : nullptr;
    return all == nullptr ? std::string("none") : all->from.text();
  };
  EXPECT_EQ(from(""), "0 0 ") << "the beginning";
  for (const char* const place : {"0 0 main", "32768 4026532567 group:web", "7 0 a name"}) {
    EXPECT_EQ(from(place), place);
  }
  for (const char* const wrong :
       {"main", "0 main", "-1 0 main", "32769 0 main", "7", "7 ", " 0 a"}) {
    EXPECT_EQ(from(wrong), "none") << wrong;
  }
  EXPECT_EQ(refusal_of(R"({"request":"segments","after":"","registry":"main"})"), "bad-request");
  EXPECT_EQ(refusal_of(R"({"request":"segments","after":7})"), "bad-request");
}

TEST(ControlRequestTest, ALineIsOneObjectAndNothingElse) {
  const std::string object = R"({"request":"registries"})";
  EXPECT_EQ(refusal_of(object + '\0'), "bad-request");
  EXPECT_EQ(refusal_of("\xEF\xBB\xBF" + object), "bad-request");
  EXPECT_EQ(refusal_of(object + object), "bad-request");
}

TEST(ControlRequestTest, KnowsWhatChangesARegistry) {
  const auto removal = parse_control_request(R"({"request":"remove","registry":"main","shmid":5})");
  ASSERT_TRUE(removal);
  EXPECT_EQ(std::get_if<RemoveOneSegment>(&*removal)->shmid, 5);
  const auto limits =
      parse_control_request(R"({"request":"set","registry":"main","shmmax":18446744073709551615})");
  ASSERT_TRUE(limits);
  EXPECT_EQ(std::get_if<SetLimits>(&*limits)->limits.shmmax, UINT64_MAX);
  EXPECT_FALSE(std::get_if<SetLimits>(&*limits)->limits.shmall);
  EXPECT_EQ(refusal_of(R"({"request":"remove","registry":"main"})"), "bad-request");
  EXPECT_EQ(refusal_of(R"({"request":"remove","registry":"main","shmid":-1})"), "bad-request");
  EXPECT_EQ(refusal_of(R"({"request":"set","registry":"main","shmmni":32769})"), "bad-request");
}

TEST(ControlRequestTest, KnowsWhatReadsAndMakesMemory) {
  const auto opened = parse_control_request(R"({"request":"open","registry":"main","shmid":5})");
  ASSERT_TRUE(opened);
  EXPECT_EQ(std::get_if<OpenSegment>(&*opened)->shmid, 5);
  const auto snapshot = parse_control_request(R"({"request":"snapshot","registry":"main"})");
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(std::get_if<TakeSnapshot>(&*snapshot)->registry, "main");
  EXPECT_EQ(refusal_of(R"({"request":"snapshot","registry":7})"), "bad-request");
  const auto allocation = parse_control_request(
      R"({"request":"allocate","registry":"main","key":4294967295,"size":9,"mode":"0640","uid":7})");
  ASSERT_TRUE(allocation);
  const auto* const wanted = std::get_if<AllocateSegment>(&*allocation);
  EXPECT_EQ(wanted->key, UINT32_MAX);
  EXPECT_EQ(wanted->size_bytes, 9U);
  EXPECT_EQ(wanted->mode, 0640U);
  EXPECT_EQ(wanted->uid, uid_t{7});
  EXPECT_FALSE(wanted->gid);
  for (const char* const members :
       {R"("mode":"0640")", R"("size":9)", R"("size":9,"mode":640)", R"("size":9,"mode":"")",
        R"("size":9,"mode":"0888")", R"("size":9,"mode":"1777")", R"("size":9,"mode":" 600")",
        R"("size":9,"mode":"600","uid":4294967295)", R"("size":9,"mode":"600","key":-1)"}) {
    EXPECT_EQ(
        refusal_of(R"({"request":"allocate","registry":"main",)" + std::string(members) + "}"),
        "bad-request")
        << members;
  }
  EXPECT_TRUE(
      std::holds_alternative<InsertAllocated>(*parse_control_request(R"({"request":"insert"})")));
}

TEST(ControlRequestTest, RefusesWhatIsNoObject) {
  for (const char* const line : {"", " ", "{", "}", "[]", "null", "7", "\"registries\"", "{}{}",
                                 "{\"request\":\"registries\"", "{\"request\":\"registries\"} x"}) {
    EXPECT_EQ(refusal_of(line), "bad-request") << line;
  }
  EXPECT_EQ(refusal_of(std::string(100, '\0')), "bad-request");
  EXPECT_EQ(refusal_of("\xff\xfe{\"request\":\"registries\"}"), "bad-request");
  EXPECT_EQ(refusal_of(std::string(4000, '[')), "bad-request");
}

TEST(ControlRequestTest, RefusesRequestsThatThereAreNot) {
  EXPECT_EQ(refusal_of("{}"), "unknown-request");
  EXPECT_EQ(refusal_of(R"({"request":1})"), "bad-request");
  EXPECT_EQ(refusal_of(R"({"request":""})"), "unknown-request");
  EXPECT_EQ(refusal_of(R"({"request":"segment","registry":"main"})"), "unknown-request");
}

TEST(ControlRequestTest, RefusesMembersThatDoNotFit) {
  for (const char* const line :
       {R"({"request":"segments","registry":7})", R"({"request":"segments","form":7})",
        R"({"request":"segments","registry":"main","from":-1})",
        R"({"request":"segments","registry":"main","from":32769})",
        R"({"request":"segments","registry":"main","from":1.5})",
        R"({"request":"segments","registry":"main","from":"7"})",
        R"({"request":"registries","from":0})", R"({"request":"registries","after":7})",
        R"({"request":"counters","after":"x"})", R"({"request":"processes","after":"7"})"}) {
    EXPECT_EQ(refusal_of(line), "bad-request") << line;
  }
}

TEST(ControlRequestTest, RefusesAMemberThatIsThereTwice) {
  EXPECT_EQ(refusal_of(R"({"request":"remove","registry":"main","shmid":5,"shmid":6})"),
            "bad-request");
  EXPECT_EQ(refusal_of(R"({"request":"registries","request":"report"})"), "bad-request");
  EXPECT_EQ(refusal_of(R"({"request":"registries","\u0072equest":"registries"})"), "bad-request");
}

TEST(ControlRequestTest, ARefusalIsOneLineOfJsonWhateverItQuotes) {
  const auto parsed = parse_control_request("{\"request\":\"a\\n\\u0007\\ud83d\\ude00\"}");
  ASSERT_FALSE(parsed);
  const std::string line = parsed.error().line();
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_EQ(control::Json::parse(line)["error"]["code"], "unknown-request");
}

}  // namespace
}  // namespace shmvisor
